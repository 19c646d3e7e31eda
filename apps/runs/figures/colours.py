"""The colour of a run: one of kos.css's ``--c1`` to ``--c6``, the same on every page."""

from __future__ import annotations

from collections.abc import Iterable

NUM = 6


def slot(pk: int) -> int:
    """The colour of a run wherever it is drawn: 1 to 6."""
    # Knuth's multiplicative hash: neighbours in number get colours far apart.
    return (pk * 2654435761 % 2**32 >> 16) % NUM + 1


def slots(pks: Iterable[int]) -> dict[int, int]:
    """The colours of runs drawn together: where two would share one, the later gives way."""
    taken: dict[int, int] = {}
    for pk in pks:
        free = [one for one in range(1, NUM + 1) if one not in taken.values()]
        own = slot(pk)
        taken[pk] = own if own in free or not free else free[0]
    return taken
