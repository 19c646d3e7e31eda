"""The article's arithmetic: how far a change is from half a step. A test oracle, no measure.

It says when nearest rounding to a fixed grid would lose a change; it does not say that a format
does, for re-gridding moves the weights off the grid points (see the package).
Source: Kos-1 Experimental, its part on serving; the numbers in ``ARTICLE``.
"""

from __future__ import annotations

from typing import NamedTuple


class Margin(NamedTuple):
    """Mean scale of a grid beside the mean |weight| and mean |change| that lie on it."""

    scale: float
    weight: float
    delta: float

    @property
    def half_step(self) -> float:
        """What a change must exceed, on average, to reach the next code."""
        return self.scale / 2

    @property
    def quarter_step(self) -> float:
        """The same where the codes lie half as far apart."""
        return self.scale / 4

    @property
    def ratios(self) -> tuple[float, float, float]:
        """A step, half of it and a quarter of it in mean changes: 140, 70, 35 in the article."""
        return tuple(size / self.delta for size in (self.scale, self.half_step, self.quarter_step))  # type: ignore[return-value]


ARTICLE = Margin(scale=5.95e-3, weight=1.40e-2, delta=4.23e-5)


def int4_half_step(amax: float) -> float:
    """INT4's half step where the largest weight of a group is ``amax``: a / 14."""
    return amax / 7 / 2


def nvfp4_half_step(amax: float) -> float:
    """NVFP4's half step next to zero where the largest weight of a block is ``amax``: a / 24."""
    return amax / 6 * 0.5 / 2
