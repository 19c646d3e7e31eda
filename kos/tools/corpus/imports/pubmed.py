"""PubMed: a baseline or update file (``pubmed26n0001.xml.gz``). Retractions stay and say so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from kos.tools.base import Provenance
from kos.tools.corpus.imports.files import read_entries
from kos.tools.corpus.imports.ledger import Item, Source
from kos.tools.corpus.imports.xml_items import read_elements
from kos.tools.corpus.store import Collection, Doc
from kos.tools.providers.base import NLM_ATTRIBUTION
from kos.tools.providers.pubmed import PubMed, number_of, record_of

COLLECTION = Collection(
    name="pubmed",
    title="PubMed",
    mode="imported",
    version="",
    licence=PubMed.licence,
    attribution=NLM_ATTRIBUTION,
    home="https://pubmed.ncbi.nlm.nih.gov/download/",
    note="Citations and abstracts of the files that were imported, not all of PubMed.",
)
NOWHERE = Provenance(provider="pubmed", mode="imported")


def read(path: Path) -> Iterator[Item]:
    """The articles; what an update file deletes goes."""
    for entry in read_entries(path, (".xml",)):
        tags = ("PubmedArticle", "PubmedBookArticle", "DeleteCitation")
        for element in read_elements(entry.file, entry.name, *tags):
            if element.tag == "DeleteCitation":
                for number in element.iter("PMID"):
                    yield Item(removed=("pubmed", f"pmid:{(number.text or '').strip()}"))
            else:
                yield Item(_doc(element))


def version_of(path: Path) -> str:
    """The year of the baseline and the file's number, as its name says them."""
    found = re.search(r"pubmed(\d{2})n(\d{4})", path.name)
    return f"baseline 20{found.group(1)}, up to file {found.group(2)}" if found else ""


def _doc(article: Element) -> Doc | None:
    record = record_of(article, NOWHERE)
    number = number_of(article)
    if not number or not record.title:
        return None
    body = "\n\n".join(f"## {name}\n{text}" for name, text in record.sections.items())
    return Doc(
        "pubmed", f"pmid:{number}", record.title, body, url=record.url, source_url=record.url
    )


SOURCE = Source(COLLECTION, read, is_whole=False, version_of=version_of)
