"""A training's numbers by step as the rules of its diagnosis read them, and what a rule says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal, NamedTuple

RECENT = 5
# A rule that compares with the start waits until the start and the recent steps do not overlap.
START = 5
# What a step's time goes to, by the names of its metrics.
PHASES = ("sample", "grade", "reward", "train", "checkpoint", "wait")

Level = Literal["bad", "warn", "info"]


class Step(NamedTuple):
    """A step's numbers by metric name; None is a number that was not finite."""

    number: int
    metrics: Mapping[str, float | None]


class Finding(NamedTuple):
    """A sentence about the run, and one about what would mend it.

    ``panel`` names the section of charts that shows it, ``good_step`` the last step before the
    trouble began, where going back is a way out.
    """

    level: Level
    sentence: str
    advice: str
    panel: str
    good_step: int | None = None


@dataclass(frozen=True)
class Setup:
    """What of the config the rules need to speak in the run's own terms."""

    groups: int = 0
    max_tokens: int = 0
    max_staleness: int = 0
    ungraded_alarm: float = 0.2
    answers: int = 0
    loss_spike: float = 8.0
    entropy: float = 0.02
    kl: float = 0.1


@dataclass(frozen=True)
class Numbers:
    """The steps as the rules read them."""

    steps: Sequence[Step]

    def known(self, name: str) -> list[tuple[int, float]]:
        """(step, value) wherever the metric is there and finite."""
        found = ((step.number, step.metrics.get(name)) for step in self.steps)
        return [(number, value) for number, value in found if value is not None]

    def recent(self, *names: str) -> float | None:
        """The mean of the last steps of the first of ``names`` that there is."""
        for name in names:
            values = [value for _, value in self.known(name)[-RECENT:]]
            if values:
                return fmean(values)
        return None

    def start(self, name: str) -> float | None:
        """The median of the first steps, once the last ones are others."""
        values = [value for _, value in self.known(name)]
        return median(values[:START]) if len(values) >= START + RECENT else None

    def span(self) -> str:
        """``the last 5 steps``."""
        count = min(RECENT, len(self.steps))
        return f"the last {count} steps" if count > 1 else "the first step"


def percent(share: float) -> str:
    """``84 %``."""
    return f"{100 * share:.0f} %"


def spike_in(values: Sequence[float], *, times: float) -> int | None:
    """The place of the newest value that is ``times`` as far off as usual, if it is recent.

    Deviations are medians of absolute ones, which a spike itself does not move; a value must also
    be three times the median, so that the noise of a calm run is none.
    """
    for place in range(len(values) - 1, max(START, len(values) - RECENT) - 1, -1):
        before = values[:place]
        middle = median(before)
        spread = median(abs(value - middle) for value in before)
        if values[place] > max(middle + times * 1.4826 * spread, 3 * middle, 1e-6):
            return place
    return None


def good_step(numbers: Numbers, name: str) -> int | None:
    """The last step at which ``name`` was still near where it started."""
    start = numbers.start(name)
    if not start:
        return None
    near = [number for number, value in numbers.known(name) if 0.6 * start < value < 1.5 * start]
    return near[-1] if near else None
