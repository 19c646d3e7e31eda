"""ClinicalTrials.gov, API v2: a JSON answer or array of studies, or a zip with one JSON each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kos.errors import UserError
from kos.tools.base import Provenance
from kos.tools.corpus.imports.files import Entry, read_entries
from kos.tools.corpus.imports.json_items import read_items
from kos.tools.corpus.imports.ledger import Item, Source
from kos.tools.corpus.store import Collection, Doc
from kos.tools.providers.ctgov import ATTRIBUTION, LICENCE, record_of

COLLECTION = Collection(
    name="ctgov",
    title="ClinicalTrials.gov",
    mode="imported",
    version="",
    licence=LICENCE,
    attribution=ATTRIBUTION,
    home="https://clinicaltrials.gov/data-api/about-api",
    note="Studies of the files that were imported, as they stood then.",
)
NOWHERE = Provenance(provider="ctgov", mode="imported")
# One study with its results.
MAX_STUDY_BYTES = 64_000_000


def read(path: Path) -> Iterator[Item]:
    """The studies."""
    for entry in read_entries(path, (".json",)):
        for study in _studies(entry):
            yield Item(_doc(study) if isinstance(study, dict) else None)


def _studies(entry: Entry) -> Iterator[Any]:
    """One study alone in its file, else the items of the array."""
    head = entry.file.peek(4096)[:4096].lstrip()  # type: ignore[attr-defined]  # buffered
    if head.startswith(b"[") or b'"studies"' in head:
        yield from read_items(entry.file, entry.name, key="studies")
        return
    data = entry.file.read(MAX_STUDY_BYTES + 1)
    if len(data) > MAX_STUDY_BYTES:
        raise UserError(f"{entry.name} is bigger than any study.")
    try:
        yield json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{entry.name} is no JSON: {error}.") from error


def _doc(study: dict[str, Any]) -> Doc | None:
    try:
        record = record_of(study, NOWHERE)
    except (KeyError, TypeError, AttributeError):
        return None  # not a study in the form of API v2
    body = "\n\n".join(f"## {name}\n{text}" for name, text in record.sections.items())
    number = record.title.partition(":")[0]
    return Doc("trial", number, record.title, body, url=record.url, source_url=record.url)


SOURCE = Source(COLLECTION, read, is_whole=False)
