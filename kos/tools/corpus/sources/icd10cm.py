"""ICD-10-CM from the tabular list in XML: 46,881 entries, 98,505 codes (April 2026)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple
from xml.etree.ElementTree import Element, iterparse

from defusedxml import ElementTree as Defused

from kos.tools.corpus.sources.package import file_of
from kos.tools.corpus.store import Collection, Doc

DISTRIBUTION = "simple-icd-10-cm"
TABULAR = "simple_icd_10_cm/data/icd10c-tabular-April-1-2026.xml"
CODES = "simple_icd_10_cm/data/code-list-April-2026.txt"
KIND = "icd10cm"
HOME = "https://www.cdc.gov/nchs/icd/icd-10-cm/"
COLLECTION = Collection(
    name="icd10cm",
    title="ICD-10-CM",
    mode="embedded",
    version="April 2026",
    licence="US public domain",
    attribution="ICD-10-CM, National Center for Health Statistics (NCHS/CDC) and CMS.",
    home=HOME,
    note="Titles, inclusion terms and coding notes of the tabular list; no index.",
)
# What is searched, and what is only shown: an exclusion names what the code is not.
TERMS = ("includes", "inclusionTerm")
NOTES = {
    "codeFirst": "Code first",
    "useAdditionalCode": "Use additional code",
    "codeAlso": "Code also",
    "excludes1": "Excludes1 (never together)",
    "excludes2": "Excludes2 (not included here)",
}


class Extension(NamedTuple):
    """A code that adds a seventh character to an entry of the tabular list. Without its dot."""

    code: str
    base: str
    suffix: str


class Entry(NamedTuple):
    """An entry of the tabular list, and the codes that only a rule of it gives."""

    doc: Doc
    extensions: tuple[Extension, ...]


def read_embedded() -> Iterator[Entry]:
    """The entries of the release that ships with the package."""
    valid = frozenset(file_of(DISTRIBUTION, CODES).read_text().split())
    with file_of(DISTRIBUTION, TABULAR).open("rb") as file:
        # An installed package may be trusted, and the hardened parser takes three times as long.
        yield from _read(iterparse(file, events=("end",)), valid)  # noqa: S314


def read_tabular(file: IO[bytes]) -> Iterator[Entry]:
    """The entries of a tabular list in XML from anywhere, chapter by chapter.

    Every seventh character that a definition allows gives a code.
    """
    yield from _read(Defused.iterparse(file, events=("end",)), None)


def _read(events: Any, valid: frozenset[str] | None) -> Iterator[Entry]:
    """``valid`` lists the codes that exist, without dots."""
    for _, element in events:
        if element.tag == "chapter":
            chapter = f"Chapter {element.findtext('name')}: {element.findtext('desc')}"
            for section in element.findall("section"):
                above = (chapter, text_of(section, "desc"))
                for diag in section.findall("diag"):
                    yield from _entries(diag, above, {}, valid)
            element.clear()


def _entries(
    diag: Element,
    above: tuple[str, ...],
    inherited: Mapping[str, str],
    valid: frozenset[str] | None,
) -> Iterator[Entry]:
    # Looked through once: there are 46,881 of them with a dozen tags to look for.
    parts: dict[str, list[Element]] = {}
    for part in diag:
        parts.setdefault(part.tag, []).append(part)
    code = _squeeze(parts["name"][0].text or "")
    title = f"{code} {_squeeze(parts['desc'][0].text or '')}"
    own = _characters(parts)
    characters = own or inherited
    children = parts.get("diag", [])
    is_whole = not children and not characters
    doc = _doc(code, title, parts, above, own=own, is_whole=is_whole)
    yield Entry(doc, () if children else _extensions(code, characters, valid))
    for child in children:
        yield from _entries(child, (*above, title), characters, valid)


def _doc(
    code: str,
    title: str,
    parts: Mapping[str, list[Element]],
    above: tuple[str, ...],
    *,
    own: Mapping[str, str],
    is_whole: bool,
) -> Doc:
    terms = tuple(note for tag in TERMS for note in _notes(parts, tag))
    lines = [f"Includes: {'; '.join(terms)}"] if terms else []
    for tag, label in NOTES.items():
        if found := _notes(parts, tag):
            lines.append(f"{label}: {'; '.join(found)}")
    if own:
        senses = "; ".join(f"{character} {sense}" for character, sense in own.items())
        lines.append(f"Seventh character: {senses}")
    if not is_whole:
        lines.append("Not the whole code: what is reported has more characters.")
    lines.append(f"Within: {' > '.join(above)}")
    return Doc(KIND, code, title, "", terms=terms, notes="\n".join(lines))


def _extensions(
    code: str, characters: Mapping[str, str], valid: frozenset[str] | None
) -> tuple[Extension, ...]:
    padded = f"{code.replace('.', ''):X<6}"
    found = (Extension(padded + one, code, sense) for one, sense in characters.items())
    return tuple(one for one in found if valid is None or one.code in valid)


def _characters(parts: Mapping[str, list[Element]]) -> dict[str, str]:
    found = [one for part in parts.get("sevenChrDef", ()) for one in part.findall("extension")]
    return {one.get("char", ""): _squeeze(one.text or "") for one in found if one.get("char")}


def _notes(parts: Mapping[str, list[Element]], tag: str) -> list[str]:
    notes = [note for part in parts.get(tag, ()) for note in part.findall("note")]
    return [_squeeze(note.text) for note in notes if note.text]


def text_of(element: Element, tag: str) -> str:
    """The text of the child ``tag`` on one line; "" without it."""
    return _squeeze(element.findtext(tag) or "")


def _squeeze(text: str) -> str:
    return " ".join(text.split())
