"""MedQuAD: questions and answers of US government sites by topic, JSON lines, 2016 to 2017."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kos.errors import UserError
from kos.tools.corpus.imports.files import read_entries
from kos.tools.corpus.imports.ledger import Item, Source
from kos.tools.corpus.store import Collection, Doc

COLLECTION = Collection(
    name="medquad",
    title="MedQuAD topics",
    mode="imported",
    version="2016-2017",
    licence="CC BY 4.0",
    attribution=(
        "MedQuAD, A. Ben Abacha and D. Demner-Fushman: A question-entailment approach to question"
        " answering. BMC Bioinformatics 20, 511 (2019). CC BY 4.0."
    ),
    home="https://github.com/abachaa/MedQuAD",
    note="Collected in 2016 and 2017: look for newer advice.",
)
MAX_LINE_BYTES = 8_000_000


def read(path: Path) -> Iterator[Item]:
    """The topics, each with its questions as headings."""
    for entry in read_entries(path, (".jsonl",)):
        number = 0
        while line := entry.file.readline(MAX_LINE_BYTES):
            number += 1
            if line.strip():
                yield Item(_doc(_parsed(line, f"{entry.name}, line {number}")))


def _parsed(line: bytes, place: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place} is no JSON: {error}.") from error
    if not isinstance(found, dict) or "focus" not in found or "qa" not in found:
        raise UserError(f"{place} is no topic: it needs focus and qa.")
    return found


def _doc(topic: dict[str, Any]) -> Doc | None:
    parts = []
    for pair in topic["qa"]:
        question, answer = str(pair.get("q") or "").strip(), str(pair.get("a") or "").strip()
        if answer:
            parts.append(f"## {' '.join(question.split()) or pair.get('qtype')}\n{answer}")
    if not parts:
        return None
    url = str(topic.get("url") or "")
    return Doc(
        "topic",
        f"medquad/{topic.get('source')}/{topic['id']}",
        str(topic["focus"]),
        "\n\n".join(parts),
        terms=tuple(str(one) for one in topic.get("synonyms") or ()),
        notes=f"From {topic.get('source')}, 2016 to 2017 (MedQuAD).",
        url=url if url.startswith("http") else "",
        source_url=url,
    )


SOURCE = Source(COLLECTION, read, is_whole=True, version_of=lambda path: COLLECTION.version)
