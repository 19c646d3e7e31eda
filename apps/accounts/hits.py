"""What a search finds. Each room's ``finding.find`` brings its own."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from apps.accounts.models import User
from apps.accounts.numerals import number


class Hit(NamedTuple):
    """One find: where it leads, and a line about it.

    ``act`` is what the palette does at once instead of going there (``theme:dark``); without
    JavaScript ``url`` leads to where the same is done by hand.
    """

    kind: str
    title: str
    note: str
    url: str
    act: str = ""
    keys: str = ""


class Finder(Protocol):
    """Finds at most ``limit`` of a room's things by ``words``, for what ``user`` may see."""

    def __call__(self, user: User, words: str, limit: int) -> list[Hit]: ...


def number_in(words: str) -> int | None:
    """The number that somebody typed alone, with or without ``#``; None for words."""
    return number(words.strip().removeprefix("#"))
