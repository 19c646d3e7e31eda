"""Sees a generation go round in circles while it still runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kos.evals.detectors.flags import MAX_PERIOD, MIN_REPEATS, MIN_SPAN_WORDS, says_something

# In tokens or characters: no hit in 2.09M tokens of clean medical documents.
MIN_SPAN = 64
# A table's rule or a run of blanks is one token again and again.
MAX_RULE = 200
EVERY = 16
TAIL_CHARS = 4_000


def period_of(units: Sequence[object], *, min_span: int = MIN_SPAN) -> int:
    """The shortest period (at most 64) with which ``units`` end, repeated at least 8 times and
    over ``min_span`` units; 0 when they do not.
    """
    for period in range(1, min(MAX_PERIOD, len(units) // MIN_REPEATS) + 1):
        needed = max(period * MIN_REPEATS, min_span) - period
        if needed + period > len(units):
            continue
        end = len(units) - 1
        if all(units[end - back] == units[end - back - period] for back in range(needed)):
            return period
    return 0


def is_rule(ids: Sequence[int], period: int, tail: str) -> bool:
    """Whether what repeats with ``period`` at the end of ``ids`` is a table's rule or blanks.

    ``tail`` is the text of about the last 64 of them. One token again and again is no rule any
    more after 200.
    """
    if says_something(tail[-MIN_SPAN:]):
        return False
    return period > 1 or len(ids) < MAX_RULE or len(set(ids[-MAX_RULE:])) > 1


def without_repeats(text: str) -> str:
    """``text`` up to the end of the first time round; unchanged where nothing repeats."""
    for units, join, span in ((text, "", MIN_SPAN), (text.split(" "), " ", MIN_SPAN_WORDS)):
        period = period_of(units, min_span=span)
        if not period:
            continue
        start = len(units) - period
        while start > 0 and units[start - 1] == units[start - 1 + period]:
            start -= 1
        return join.join(units[: start + period])
    return text


@dataclass
class Watch:
    """Told every delta, it looks at the tail every 16 tokens.

    By token where the server tells their ids, else by word and by character.
    """

    _ids: list[int] = field(default_factory=list)
    _tail: str = ""
    _num_tokens: int = 0
    _next: int = EVERY

    def take(self, text: str, token_ids: Sequence[int] = ()) -> bool:
        """Whether the text goes round in circles by now."""
        self._ids.extend(token_ids)
        self._tail = (self._tail + text)[-TAIL_CHARS:]
        self._num_tokens += max(1, len(token_ids))
        if self._num_tokens < self._next:
            return False
        self._next = self._num_tokens + EVERY
        return self._is_periodic()

    def _is_periodic(self) -> bool:
        if self._ids:
            period = period_of(self._ids)
            return bool(period) and not is_rule(self._ids, period, self._tail)
        words = self._tail.split()[1:]  # the first may be cut
        # The last word is still growing.
        period = period_of(words[:-1], min_span=MIN_SPAN_WORDS) or period_of(self._tail)
        return bool(period) and says_something(self._tail[-MIN_SPAN:])
