"""How far something with a known size is, said once a second at most."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.template.defaultfilters import filesizeformat

Say = Callable[[str], None]
EVERY_SECONDS = 1.0


class Progress:
    """``Progress(say, "artifacts", total)``; ``add`` what is done. Nothing is said of a moment."""

    def __init__(self, say: Say, name: str, total_bytes: int) -> None:
        self._say = say
        self._name = name
        self._total = total_bytes
        self._done = 0
        self._said_at = time.monotonic()

    def add(self, num_bytes: int) -> None:
        self._done += num_bytes
        if time.monotonic() - self._said_at >= EVERY_SECONDS:
            self._said_at = time.monotonic()
            self._say(f"{self._name}: {in_words(self._done)} of {in_words(self._total)}")


def in_words(size_bytes: int) -> str:
    """``1.5 GB``, with an ordinary blank."""
    return filesizeformat(size_bytes).replace("\xa0", " ")
