"""What a run's tokens came to: sampled, learnt from, read, thrown away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from apps.runs.figures.numbers import Step

KINDS = {
    "sampled": "Sampled",
    "prefill": "Read as prompts",
    "trained": "Through the trainer",
    "learnt": "Learnt from",
    "discarded": "Thrown away",
}


class Spent(NamedTuple):
    """Tokens of one kind over all steps; ``share`` is of those sampled, for what was thrown away."""

    label: str
    tokens: float
    share: float | None

    @property
    def percent(self) -> str:
        """The share in per cent."""
        return f"{100 * (self.share or 0):.0f}"


def spent(steps: Sequence[Step]) -> list[Spent]:
    """The run's tokens by kind, of those that its steps count."""
    totals = {kind: _total(steps, f"tokens/{kind}") for kind in KINDS}
    sampled = totals["sampled"]
    return [
        Spent(label, tokens, tokens / sampled if kind == "discarded" and sampled else None)
        for kind, label in KINDS.items()
        if (tokens := totals[kind]) is not None
    ]


def seconds(steps: Sequence[Step]) -> float:
    """How long the steps took, all phases together."""
    return sum(
        value or 0.0
        for step in steps
        for name, value in step.metrics.items()
        if name.startswith("time/")
    )


def waits_on(times: Sequence[tuple[str, float, float]]) -> str:
    """One sentence about where a step's time goes; ``times`` has the longest phase first."""
    if not times:
        return ""
    (name, _, share), whole = times[0], sum(seconds for _, seconds, _ in times)
    doing = DOING.get(name, name)
    others = ", ".join(f"{100 * part:.0f} % {DOING.get(one, one)}" for one, _, part in times[1:4])
    rest = f"; {others}" if others else ""
    return f"A step takes {duration(whole)} and spends {100 * share:.0f} % {doing}{rest}."


def duration(length: float) -> str:
    """``48 s``, ``12 min``, ``3.4 h``."""
    if length < 120:
        return f"{length:.3g} s"
    return f"{length / 60:.0f} min" if length < 7200 else f"{length / 3600:.1f} h"


DOING = {
    "sample": "sampling",
    "grade": "grading",
    "reward": "on rewards",
    "train": "training",
    "checkpoint": "saving",
    "wait": "waiting",
}


def _total(steps: Sequence[Step], name: str) -> float | None:
    values = [step.metrics[name] for step in steps if name in step.metrics]
    return sum(value or 0.0 for value in values) if values else None
