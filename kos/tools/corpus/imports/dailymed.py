"""DailyMed: SPL labels, a zip of zips with one XML each (``dm_spl_*.zip``), or XML alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import parse

from kos.errors import UserError
from kos.tools.corpus.imports.files import read_entries
from kos.tools.corpus.imports.ledger import Item, Source
from kos.tools.corpus.imports.openfda import label_doc
from kos.tools.corpus.store import Collection
from kos.tools.providers.base import NLM_ATTRIBUTION
from kos.tools.providers.labels import from_spl

COLLECTION = Collection(
    name="dailymed",
    title="DailyMed labels",
    mode="imported",
    version="",
    licence="public domain (U.S. government); labels are their makers' text",
    attribution=NLM_ATTRIBUTION,
    home="https://dailymed.nlm.nih.gov/dailymed/spl-resources.cfm",
    note="Labels as their makers sent them.",
)


def read(path: Path) -> Iterator[Item]:
    """The labels that have at least one section the tool knows."""
    for entry in read_entries(path, (".xml",)):
        try:
            root = parse(entry.file).getroot()
        except (ParseError, DefusedXmlException) as error:
            raise UserError(f"{entry.name} is broken XML: {error}.") from error
        assert root is not None  # a document that parses has one
        label = from_spl(root)
        yield Item(label_doc(label) if label.set_id and label.sections else None)


SOURCE = Source(COLLECTION, read, is_whole=False)
