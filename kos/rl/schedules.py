"""What changes while a training goes on: curves over its progress, and the temperature.

Progress is 0 at the first step and 1 at the last, so that both ends of a curve are reached.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    # kos.config.training needs the reward stages, and those need the curves below.
    from kos.config.base import Sampling
    from kos.config.training import Temperature


def progress_of(step: int, num_steps: int) -> float:
    """How far the training is at step 1, 2, ... ``num_steps``, in [0, 1]."""
    return min(1.0, max(0.0, (step - 1) / max(1, num_steps - 1)))


class Knot(NamedTuple):
    """At ``progress`` the curve has this value."""

    progress: float
    value: float


@dataclass(frozen=True)
class Curve:
    """Straight lines between knots, level after the last one and before the first."""

    knots: tuple[Knot, ...]

    @classmethod
    def parse(cls, text: str) -> Curve:
        """Read ``0:1500 0.5:900 1:700``; ValueError says what is wrong with it."""
        knots = tuple(_knot(word) for word in text.split())
        if not knots:
            raise ValueError("a curve needs a knot at least, as 0.5:900 (progress:value)")
        for before, after in pairwise(knots):
            if after.progress <= before.progress:
                raise ValueError(
                    f"knots must go forward: {after.progress:g} comes after {before.progress:g}"
                )
        return cls(knots)

    def from_start(self, value: float) -> Curve:
        """The curve with ``value`` at progress 0, where it says nothing of that itself."""
        return self if self.knots[0].progress == 0 else Curve((Knot(0.0, value), *self.knots))

    def at(self, progress: float) -> float:
        """The value at ``progress``."""
        if progress <= self.knots[0].progress:
            return self.knots[0].value
        for (start, low), (end, high) in pairwise(self.knots):
            if progress <= end:
                return low + (high - low) * (progress - start) / (end - start)
        return self.knots[-1].value

    def __iter__(self) -> Iterator[Knot]:
        return iter(self.knots)


def _knot(word: str) -> Knot:
    place, colon, value = word.partition(":")
    try:
        knot = Knot(float(place), float(value))
    except ValueError:
        raise ValueError(f"{word!r} is no knot; write progress:value, as 0.5:900") from None
    if not colon or not math.isfinite(knot.value):
        raise ValueError(f"{word!r} is no knot; write progress:value, as 0.5:900")
    if not 0 <= knot.progress <= 1:
        raise ValueError(f"{word!r} is outside the training: progress goes from 0 to 1")
    return knot


def temperature(sampling: Sampling, decay: Temperature, progress: float) -> float:
    """The sampling temperature at ``progress``: from ``sampling``'s to ``decay.end``.

    Source: Kimi K2 (arXiv:2507.20534), sec. 3.2.3: high at first, to explore, then lower; the
    shape is not published. An end of 0 keeps the temperature as it is.
    """
    start, end = sampling.temperature, decay.end
    if end == 0:
        return start
    if decay.shape == "exponential":
        return float(start * (end / start) ** progress)
    share = progress if decay.shape == "linear" else (1 - math.cos(math.pi * progress)) / 2
    return start + (end - start) * share
