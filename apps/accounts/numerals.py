"""Whole numbers that somebody typed, in an address, a form or a search."""

from __future__ import annotations

# Enough for every id, and what PostgreSQL still takes as a bigint.
MOST_DIGITS = 15


def number(text: str, *, most: int = MOST_DIGITS) -> int | None:
    """The number that ``text`` writes in at most ``most`` digits 0 to 9; None for all else.

    Signs, spaces and the digits of other scripts are no number here: an id has one spelling.
    """
    is_number = text.isascii() and text.isdecimal() and len(text) <= most
    return int(text) if is_number else None
