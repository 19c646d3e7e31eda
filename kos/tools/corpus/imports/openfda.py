"""openFDA drug labels: the bulk files of ``/download.json`` (``drug-label-*.json.zip``)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kos.tools.corpus.imports.files import read_entries
from kos.tools.corpus.imports.json_items import read_items
from kos.tools.corpus.imports.ledger import Item, Source
from kos.tools.corpus.store import Collection, Doc
from kos.tools.providers.labels import Label, from_openfda
from kos.tools.providers.openfda import ATTRIBUTION, LICENCE

COLLECTION = Collection(
    name="openfda",
    title="openFDA drug labels",
    mode="imported",
    version="",
    licence=LICENCE,
    attribution=ATTRIBUTION,
    home="https://open.fda.gov/apis/drug/label/",
    note="FDA's labels as their makers sent them.",
)


def read(path: Path) -> Iterator[Item]:
    """The labels of people's drugs that have at least one section the tool knows."""
    for entry in read_entries(path, (".json",)):
        for found in read_items(entry.file, entry.name, key="results"):
            yield Item(_doc(found) if isinstance(found, dict) else None)


def version_of(path: Path) -> str:
    """The day the file itself gives."""
    for entry in read_entries(path, (".json",)):
        head = entry.file.peek(8192)[:8192]  # type: ignore[attr-defined]  # buffered
        found = re.search(rb'"last_updated"\s*:\s*"([\d-]{8,10})"', head)
        return found.group(1).decode() if found else ""
    return ""


def _doc(found: dict[str, Any]) -> Doc | None:
    label = from_openfda(found)
    return label_doc(label) if label.set_id and label.sections else None


def label_doc(label: Label) -> Doc:
    """The document of a label: its sections as headings, its names as terms."""
    # A heading of its own in the text must not pass for one of ours.
    parts = [f"## {name}\n{_flat(text)}" for name, text in label.sections.items()]
    about = [f"Label of {label.maker}."] if label.maker else []
    about.append("Prescription." if label.is_prescription else "Over the counter or unapproved.")
    return Doc(
        "label",
        label.set_id,
        label.title,
        "\n\n".join(parts),
        terms=tuple(dict.fromkeys((*label.generics, *label.brands))),
        notes=" ".join(about),
        url=label.url,
        source_url=label.url,
        version=label.effective,
    )


def _flat(text: str) -> str:
    return "\n".join(line.lstrip("#") for line in text.split("\n"))


SOURCE = Source(COLLECTION, read, is_whole=False, version_of=version_of)
