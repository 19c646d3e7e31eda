"""Our own red-flag cards and demonstration labels: Markdown files, one ``# title`` a document.

A line ``Also: a, b`` below a title gives other names. Sections begin with ``## ``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources

from kos.tools.corpus.store import Collection, Doc

VERSION = "1"
CARDS = Collection(
    name="kos-red-flags",
    title="Kos sample red-flag cards",
    mode="embedded",
    version=VERSION,
    licence="Apache-2.0",
    attribution="Kos sample: written for demonstration, not reviewed as a guideline.",
    note="Kos sample. Not a guideline and not for the care of patients.",
)
LABELS = Collection(
    name="kos-labels",
    title="Kos demonstration labels",
    mode="embedded",
    version=VERSION,
    licence="Apache-2.0",
    attribution="Kos demonstration data: not FDA text, not a drug label.",
    note="Demonstration data, not FDA text. Import openFDA or DailyMed files for real labels.",
)


def read_cards() -> Iterator[Doc]:
    """The red-flag cards."""
    for title, terms, body in _documents("red_flags.md"):
        key = _slug(title)
        yield Doc("redflag", key, f"{title}: red flags (Kos sample)", body, terms, CARDS.note)


def read_labels() -> Iterator[Doc]:
    """The demonstration labels, with the sections of the tool's declaration."""
    for title, terms, body in _documents("labels.md"):
        names = (title.lower(), *terms)
        heading = f"{title} (demonstration data, not FDA text)"
        yield Doc("label", _slug(title), heading, body, names, LABELS.note)


def _documents(name: str) -> Iterator[tuple[str, tuple[str, ...], str]]:
    text = (resources.files("kos.tools.corpus") / "data" / name).read_text(encoding="utf-8")
    for part in re.split(r"^# ", text, flags=re.MULTILINE)[1:]:
        title, _, rest = part.partition("\n")
        terms: tuple[str, ...] = ()
        if rest.startswith("Also: "):
            line, _, rest = rest.partition("\n")
            terms = tuple(term.strip() for term in line.removeprefix("Also: ").split(","))
        yield title.strip(), terms, rest.strip()


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
