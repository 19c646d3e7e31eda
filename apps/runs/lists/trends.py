"""The small curve of a run in a list: the number its kind is judged by, as points of a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from apps.runs.figures import metrics
from apps.runs.models import Run

WIDTH, HEIGHT, MARGIN = 72.0, 20.0, 2.0
# What a list shows of a kind; of any other kind nothing is drawn.
JUDGED_BY = {
    "train": "reward/mean",
    "sft": "loss",
    "dpo": "loss",
    "critic": "loss",
}


class Trend(NamedTuple):
    """``points`` of a polyline; ``label`` says in words what it shows."""

    points: str
    label: str


def trends(runs: Sequence[Run]) -> dict[int, Trend]:
    """By run; of a pipeline the curve of its training. One query a name, not a run."""
    drawn = {run.pk: _trained_by(run) for run in runs}
    wanted: dict[str, dict[int, int]] = {}
    for run in runs:
        name = JUDGED_BY["train"] if run.kind == "pipeline" else JUDGED_BY.get(run.kind)
        if name and (pk := drawn[run.pk]):
            wanted.setdefault(name, {})[pk] = run.pk
    found: dict[int, Trend] = {}
    for name, owners in wanted.items():
        curves = metrics.spark([Run(pk=pk) for pk in owners], name)
        found |= {owners[pk]: _trend(name, values) for pk, values in curves.items() if values}
    return found


def _trained_by(run: Run) -> int | None:
    """The run whose numbers are drawn: a pipeline has none of its own."""
    if run.kind != "pipeline":
        return run.pk
    part: Mapping[str, int] = run.progress.get("train", {})
    return part.get("run")


def _trend(name: str, values: Sequence[float]) -> Trend:
    words = name.replace("/", " ")
    label = f"{words}: {values[0]:.3g} at first, {values[-1]:.3g} now"
    return Trend(points(values), label)


def points(values: Sequence[float]) -> str:
    """The curve from edge to edge; one value, or all alike, is a level line in the middle."""
    low, high = min(values), max(values)
    spread = (high - low) or 1.0
    drawn = list(values) if len(values) > 1 else [values[0]] * 2
    across = (WIDTH - 2 * MARGIN) / (len(drawn) - 1)
    middle = 0.5 if high == low else 0.0
    places = (
        (
            MARGIN + across * place,
            HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * ((value - low) / spread + middle),
        )
        for place, value in enumerate(drawn)
    )
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
