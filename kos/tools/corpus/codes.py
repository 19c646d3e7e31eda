"""Codes of classifications, found as they are written: ``i219``, ``I21.9``, ``S52.001A``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kos.tools.corpus.shelf import Hit, Shelf

ICD10 = re.compile(r"[A-TV-Z][0-9][0-9A-Z](\.?[0-9A-Z]{1,4})?", re.IGNORECASE)
ICD11 = re.compile(
    r"[0-9A-HJ-NP-Z][A-HJ-NP-Z][0-9][0-9A-HJ-NP-Z](\.[0-9A-Z]{1,3})?", re.IGNORECASE
)
MAX_CHILDREN = 20


def codes_in(text: str) -> list[str]:
    """The words of ``text`` that have the form of a code, in capitals and with their dot."""
    words = [word.strip(",;:()[]") for word in text.split()]
    found = [_dotted(word.upper()) for word in words if ICD10.fullmatch(word)]
    return found + [word.upper() for word in words if ICD11.fullmatch(word)]


def look_up(shelf: Shelf, kinds: Sequence[str], code: str) -> list[Hit]:
    """The entry of this code and, below it, its children; empty when there is none."""
    found = shelf.by_key(kinds, code)
    if found:
        return found + shelf.below(kinds, code, limit=MAX_CHILDREN)
    return _extended(shelf, kinds, code)


def _extended(shelf: Shelf, kinds: Sequence[str], code: str) -> list[Hit]:
    """A code with a seventh character, which the tabular list gives by rule."""
    row = shelf.extension(code.replace(".", ""))
    if row is None:
        return []
    base, suffix = row
    return [
        hit._replace(
            key=code,
            title=f"{code} {hit.title.partition(' ')[2]}, {suffix}",
            url=f"{hit.url.rpartition('/')[0]}/{code}",
        )
        for hit in shelf.by_key(kinds, base)
    ]


def _dotted(code: str) -> str:
    bare = code.replace(".", "")
    return f"{bare[:3]}.{bare[3:]}" if len(bare) > 3 else bare
