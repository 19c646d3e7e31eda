"""Another release of ICD-10-CM: the tabular list in XML, alone or in its zip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException

from kos.errors import UserError
from kos.tools.corpus.imports.files import read_entries
from kos.tools.corpus.imports.ledger import Item, Source
from kos.tools.corpus.imports.xml_items import read_elements
from kos.tools.corpus.sources import icd10cm

COLLECTION = replace(icd10cm.COLLECTION, mode="imported", version="")
TABULAR = "tabular"


def read(path: Path) -> Iterator[Item]:
    """The entries of the tabular list; other XML of the release (index, drugs) is left out."""
    for entry in read_entries(path, (".xml",)):
        if TABULAR not in entry.name.lower() and path.suffix.lower() == ".zip":
            continue
        try:
            for found in icd10cm.read_tabular(entry.file):
                yield Item(found.doc, codes=found.extensions)
        except (ParseError, DefusedXmlException) as error:
            raise UserError(f"{entry.name} is broken XML: {error}.") from error
        except KeyError as error:
            raise UserError(
                f"{entry.name} is no tabular list: an entry has no {error}."
            ) from error


def version_of(path: Path) -> str:
    """The year that the list itself names."""
    for entry in read_entries(path, (".xml",)):
        if TABULAR in entry.name.lower() or path.suffix.lower() != ".zip":
            for element in read_elements(entry.file, entry.name, "version"):
                return (element.text or "").strip()
    return ""


SOURCE = Source(COLLECTION, read, is_whole=True, version_of=version_of)
