"""So many at a time: what this process has under way, in all and for one person.

Who finds no seat is refused with a sentence and comes back later: nothing waits in a queue
that could grow. A process counts for itself; several web processes hold so many each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from django.conf import settings

from kos.errors import UserError

# When to come back: what is under way ends in minutes rather than seconds.
RETRY_SECONDS = 15


class FullError(UserError):
    """No seat is free. ``is_own``: the person's own are taken, not all of the process."""

    def __init__(self, sentence: str, *, is_own: bool, retry_seconds: int = RETRY_SECONDS) -> None:
        super().__init__(sentence)
        self.is_own = is_own
        self.retry_seconds = retry_seconds

    def __reduce__(self) -> tuple[Any, ...]:
        return _full_error, (str(self), self.is_own, self.retry_seconds)

    @property
    def status(self) -> int:
        """What HTTP calls it."""
        return 429 if self.is_own else 503


def _full_error(sentence: str, is_own: bool, retry_seconds: int) -> FullError:
    return FullError(sentence, is_own=is_own, retry_seconds=retry_seconds)


class Words(NamedTuple):
    """Sentences with a place for the number. A socket's reason holds 123 bytes at most."""

    own: str
    all: str


class Seats:
    """``most()`` seats of the process, of which one person gets ``most_own()``; 0: no limit."""

    def __init__(self, words: Words, most: Callable[[], int], most_own: Callable[[], int]) -> None:
        self._words = words
        self._most = most
        self._most_own = most_own
        self._of: Counter[int | None] = Counter()

    @property
    def num_taken(self) -> int:
        """How many are taken."""
        return self._of.total()

    def check(self, person: int | None, *, wanted: int = 1) -> None:
        """Raise FullError unless so many seats are free for ``person`` (None: nobody's own)."""
        most_own, most = self._most_own(), self._most()
        if most_own and person is not None and self._of[person] + wanted > most_own:
            raise FullError(self._words.own.format(most_own), is_own=True)
        if most and self.num_taken + wanted > most:
            raise FullError(self._words.all.format(most), is_own=False)

    @contextmanager
    def taken(self, person: int | None) -> Iterator[None]:
        """Hold a seat inside. Raises FullError."""
        self.check(person)
        with self.held(person):
            yield

    @contextmanager
    def held(self, person: int | None) -> Iterator[None]:
        """The same for what has been let in already: it is counted, and never refused."""
        self._of[person] += 1
        try:
            yield
        finally:
            self._of[person] -= 1
            if not self._of[person]:
                del self._of[person]


WATCHERS = Seats(
    Words(
        "You follow {} runs and answers at once. Close some pages; this one tries again.",
        "Kos holds no more than {} open pages and streams here. This one tries again.",
    ),
    lambda: settings.MOST_WATCHERS,
    lambda: settings.MOST_WATCHERS_OWN,
)
