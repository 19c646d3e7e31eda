"""Labels on this machine: imported ones, else Kos's demonstration labels; renal doses; mentions."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from kos.tools.base import Record
from kos.tools.corpus.index import Corpus
from kos.tools.desk import READY, Desk, Readiness
from kos.tools.providers.labels import SECTIONS
from kos.tools.registry import provide

RENAL_SECTIONS = frozenset({"renal", "dosage"})
MAX_MENTIONS = 2
MAX_MENTION_CHARS = 1500


@provide
class LocalLabels:
    """Drug labels on this machine."""

    tool = "search_drug_label"
    name = "embedded"
    title = "drug labels"
    mode: Literal["live", "embedded"] = "embedded"
    version = "1"
    is_private = False

    def ready(self, desk: Desk) -> Readiness:
        """Whether there is a corpus."""
        return READY if isinstance(desk.corpus, Corpus) else Readiness(False, "no corpus")

    async def search(self, arguments: Mapping[str, Any], desk: Desk) -> tuple[Record, ...]:
        """The drug's label, its renal doses, and where guidelines speak of it."""
        assert isinstance(desk.corpus, Corpus)
        wanted = tuple(arguments.get("sections") or ())
        return await asyncio.to_thread(_look_up, desk.corpus, str(arguments["drug"]), wanted)


def _look_up(corpus: Corpus, asked: str, wanted: Sequence[str]) -> tuple[Record, ...]:
    drug = corpus.drug(asked)
    generic = drug.generic if drug else asked
    found = corpus.search("label", generic, 5, strictness="names")
    if not found and drug and drug.is_renamed:
        found = corpus.search("label", asked, 5, strictness="names")
    line = f"Drug names: {asked} is {generic}." if drug and drug.is_renamed else ""
    records = [_narrow(record, wanted, line) for record in found[:1]]
    if not wanted or RENAL_SECTIONS & set(wanted):
        records += corpus.search("renal", generic, 1, strictness="names")
    mentions = _mentions(corpus, generic)
    if not found and mentions:
        told = f"No label of {generic} is on this machine; a guideline speaks of it.\n"
        mentions = (replace(mentions[0], text=told + mentions[0].text), *mentions[1:])
    return (*records, *mentions)


def _narrow(record: Record, wanted: Sequence[str], line: str) -> Record:
    """The record with the wanted sections only, and what it was asked as."""
    shown = {name: record.sections[name] for name in wanted or SECTIONS if name in record.sections}
    missing = [name for name in wanted if name not in record.sections]
    head = [line, record.provenance.attribution]
    if missing:
        head.append(f"Not on this label: {', '.join(missing)}.")
    parts = [
        "\n".join(filter(None, head)),
        *(f"## {name}\n{text}" for name, text in shown.items()),
    ]
    return replace(record, text="\n\n".join(parts), sections=shown)


def _mentions(corpus: Corpus, generic: str) -> tuple[Record, ...]:
    """Guideline sections that speak of the drug, cut to where they do."""
    pattern = re.compile(rf"\b{re.escape(generic)}\b", re.IGNORECASE)
    found = []
    for record in corpus.search("guideline", generic, 8, strictness="all"):
        lines = [line for line in record.text.split("\n") if pattern.search(line)]
        if lines:
            text = "\n".join(lines)[:MAX_MENTION_CHARS]
            found.append(
                replace(record, text=f"Where it speaks of {generic}:\n{text}", sections={})
            )
    return tuple(found[:MAX_MENTIONS])
