"""MedlinePlus health topics: the daily XML file, zipped (``mplus_topics_compressed_*.zip``)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from kos.tools.corpus.imports.files import read_entries
from kos.tools.corpus.imports.ledger import Item, Source
from kos.tools.corpus.imports.xml_items import read_elements
from kos.tools.corpus.store import Collection, Doc
from kos.tools.providers.base import plain
from kos.tools.providers.medlineplus import ATTRIBUTION, LICENCE, as_text

COLLECTION = Collection(
    name="medlineplus",
    title="MedlinePlus health topics",
    mode="imported",
    version="",
    licence=LICENCE,
    attribution=ATTRIBUTION,
    home="https://medlineplus.gov/xml.html",
    note="Summaries of the National Library of Medicine; linked pages are not held.",
)


def read(path: Path) -> Iterator[Item]:
    """The topics in English."""
    for entry in read_entries(path, (".xml",)):
        for topic in read_elements(entry.file, entry.name, "health-topic"):
            yield Item(_doc(topic) if topic.get("language", "English") == "English" else None)


def version_of(path: Path) -> str:
    """The day in the file's name."""
    found = re.search(r"\d{4}-\d{2}-\d{2}", path.name)
    return found.group() if found else ""


def _doc(topic: Element) -> Doc | None:
    title, key = plain(topic.get("title")), topic.get("id") or ""
    if not title or not key:
        return None
    also = [plain(one.text) for one in topic.findall("also-called")]
    also += [plain(one.text) for one in topic.findall("see-reference")]
    groups = [plain(one.text) for one in topic.findall("group")]
    return Doc(
        "topic",
        f"medlineplus/{key}",
        title,
        as_text(topic.findtext("full-summary") or ""),
        terms=tuple(filter(None, also)),
        notes=f"Topic groups: {', '.join(groups)}" if groups else "",
        url=topic.get("url") or "",
        source_url=topic.get("url") or "",
    )


SOURCE = Source(COLLECTION, read, is_whole=True, version_of=version_of)
