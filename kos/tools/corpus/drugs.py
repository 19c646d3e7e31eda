"""Which drug a name means: brands, salts, foreign names, abbreviations, with or without a dose."""

from __future__ import annotations

import re
import sqlite3
from typing import NamedTuple

SALTS = frozenset(
    """acetate besylate bromide calcium chloride citrate dihydrate fumarate hcl hydrobromide
    hydrochloride magnesium maleate mesylate monohydrate phosphate potassium sodium succinate
    sulfate sulphate tartrate trihydrate""".split()  # noqa: SIM905
)
FORMS = frozenset(
    """capsule capsules cream er extended ir la oral release solution sr tablet tablets xl
    xr""".split()  # noqa: SIM905
)
STRENGTH = re.compile(r"\b\d+([.,]\d+)?\s*(mg|mcg|µg|g|ml|units?|iu|%)?(/\d*\s*ml)?(?!\w)", re.I)


class Drug(NamedTuple):
    """A drug by its generic name (lower case), how it was asked for, and its brands."""

    generic: str
    asked: str
    brands: tuple[str, ...] = ()

    @property
    def is_renamed(self) -> bool:
        """Whether it was asked for by another name."""
        return self.generic != self.asked


def find(connection: sqlite3.Connection, name: str) -> Drug | None:
    """The drug that goes by ``name``; None when the normaliser does not know it."""
    asked = " ".join(STRENGTH.sub(" ", name.lower()).split())
    for text in _spellings(asked):
        rows = connection.execute(
            "SELECT canonical FROM names WHERE sort = 'drug' AND name = ? ORDER BY 1", (text,)
        ).fetchall()
        if rows:
            generic = str(rows[0][0])
            return Drug(generic, asked, _brands(connection, generic))
    return None


def _spellings(asked: str) -> list[str]:
    words = asked.split()
    without_form = [word for word in words if word not in FORMS]
    without_salt = [word for word in without_form if word not in SALTS]
    tried = [asked, " ".join(without_form), " ".join(without_salt), asked.replace("-", " ")]
    return [text for text in dict.fromkeys(tried) if text]


def _brands(connection: sqlite3.Connection, generic: str) -> tuple[str, ...]:
    rows = connection.execute(
        "SELECT name FROM names WHERE sort = 'brand' AND canonical = ? ORDER BY name", (generic,)
    )
    return tuple(str(name) for (name,) in rows)
