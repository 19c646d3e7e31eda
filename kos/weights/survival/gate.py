"""May a quantised model be served? Only if enough of what was trained is left, or with a reason.

It fails when the slope is under ``MIN_SLOPE`` or the gain kept under ``MIN_GAIN``. What was not
measured fails nothing, and is said. No torch: the web process asks it of finished reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

MIN_SLOPE = 0.5
MIN_GAIN = 0.8


class Gate(NamedTuple):
    """Whether it passed, and why, in sentences with their numbers."""

    passed: bool
    sentences: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """For an artifact's summary."""
        return {"passed": self.passed, "sentences": [*self.sentences]}


def gate(report: Mapping[str, Any]) -> Gate:
    """The verdict on one format's line of a report (``all``, and ``behaviour`` where measured)."""
    slope, is_kept = _slope(report.get("all") or {})
    gain, is_gained = _gain(report.get("behaviour") or {})
    return Gate(is_kept and is_gained, (slope, gain))


def _slope(weights: Mapping[str, Any]) -> tuple[str, bool]:
    # Where the inputs are known an activation-aware rounding gives up what no input shows, so
    # its slope among the bare weights says nothing: the one at the outputs counts.
    name, where = ("slope_out", "at the outputs") if "slope_out" in weights else ("slope", "")
    slope = weights.get(name)
    if slope is None:
        return "The slope was not measured.", True
    found = f"The slope {where} is {slope:.2f}".replace("  ", " ")
    if slope < MIN_SLOPE:
        return f"{found}: under {MIN_SLOPE}, so most of the adapter is rounded away.", False
    return f"{found}, at least {MIN_SLOPE}.", True


def _gain(behaviour: Mapping[str, Any]) -> tuple[str, bool]:
    kept = behaviour.get("gain_kept") or behaviour.get("net_gain_kept")
    if not kept:
        return "The gain kept on held-out answers was not measured.", True
    found = (
        f"The gain kept is {100 * kept['mean']:.0f} % "
        f"({100 * kept['low']:.0f} to {100 * kept['high']:.0f})"
    )
    if kept["mean"] < MIN_GAIN:
        return f"{found}: under {100 * MIN_GAIN:.0f} %.", False
    return f"{found}, at least {100 * MIN_GAIN:.0f} %.", True
