"""A run's numbers over its steps: the panels of its page and the data they draw."""

from __future__ import annotations

from typing import Any, NamedTuple

from apps.runs.models import Event, Run

STEP = "step"


class Panel(NamedTuple):
    """One chart. ``names`` are metric names in the order of their colours."""

    title: str
    note: str
    names: tuple[str, ...]


PANELS = {
    "train": (
        Panel("Reward", "mean of a step", ("reward/mean", "reward/rubric")),
        Panel("Length", "tokens, mean", ("length/response", "length/output")),
        Panel("KL", "trainer against sampler", ("kl/sample_train_v2",)),
        Panel("Loss", "mean over the substeps", ("loss",)),
    ),
    "sft": (Panel("Loss", "per token", ("loss",)),),
}


def panels(kind: str) -> tuple[Panel, ...]:
    return PANELS.get(kind, ())


def series(run: Run) -> dict[str, Any]:
    """Every metric by step: ``{"steps": [...], "series": {name: [...]}, "last_seq": n}``.

    A step done again after a crash counts once, with its last numbers; where a step lacks a
    metric the value is None.
    """
    rows: dict[int, dict[str, float]] = {}
    last_seq = 0
    events = Event.objects.filter(run=run, kind=STEP).order_by("seq")
    for seq, data in events.values_list("seq", "data"):
        rows[data["step"]] = data["metrics"]
        last_seq = seq
    names = sorted({name for metrics in rows.values() for name in metrics})
    steps = sorted(rows)
    return {
        "steps": steps,
        "series": {name: [rows[step].get(name) for step in steps] for name in names},
        "last_seq": last_seq,
    }


def table(run: Run, *, limit: int = 200) -> dict[str, Any]:
    """The same numbers as rows, newest step first: for readers without the charts."""
    data = series(run)
    names = list(data["series"])
    columns = list(data["series"].values())
    rows = [
        {"step": step, "values": [column[place] for column in columns]}
        for place, step in enumerate(data["steps"])
    ]
    return {"names": names, "rows": rows[::-1][:limit]}
