"""The log of a run: its events as lines of text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from apps.runs.models import Event, Run

# Rollouts have pages of their own; progress is drawn as bars.
SILENT = ("rollout", "progress", "stage")
PAGE = 500
HEADLINES = (
    "reward/mean",
    "reward/rubric",
    "length/output",
    "kl/sample_train_v2",
    "loss",
    "tokens/per_second",
)


class Line(NamedTuple):
    """One line; ``level`` is info, warning, error, or mark for a change of the run itself."""

    seq: int
    at: datetime
    kind: str
    level: str
    text: str


def tail(run: Run, *, limit: int = PAGE) -> list[Line]:
    """The last ``limit`` lines, oldest first."""
    events = _spoken(run).order_by("-seq")[:limit]
    return [line_of(event) for event in reversed(events)]


def after(run: Run, seq: int, *, limit: int = PAGE) -> list[Line]:
    """Lines said after event ``seq``."""
    return [line_of(event) for event in _spoken(run).filter(seq__gt=seq).order_by("seq")[:limit]]


def before(run: Run, seq: int, *, limit: int = PAGE) -> list[Line]:
    """The ``limit`` lines said before event ``seq``, oldest first."""
    events = _spoken(run).filter(seq__lt=seq).order_by("-seq")[:limit]
    return [line_of(event) for event in reversed(events)]


def line_of(event: Event) -> Line:
    data = event.data
    level = data.get("level", "info") if event.kind == "note" else LEVELS.get(event.kind, "info")
    if data.get("error"):
        level = "error"
    text = SAYS[event.kind](data) if event.kind in SAYS else pairs(data)
    return Line(event.seq, event.at, event.kind, level, text)


def number(value: Any) -> str:
    """Four significant digits, whole numbers whole."""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


def pairs(data: Mapping[str, Any]) -> str:
    return "  ".join(f"{key} {number(value)}" for key, value in data.items())


def _step(data: Mapping[str, Any]) -> str:
    """The numbers that tell most; the page's table has them all."""
    metrics = data["metrics"]
    told = {name: metrics[name] for name in HEADLINES if name in metrics} or metrics
    return f"{data['step']}  {pairs(told)}"


def _status(data: Mapping[str, Any]) -> str:
    who = f", attempt {data['attempt']} on {data['worker']}" if data.get("worker") else ""
    why = f": {data['error']}" if data.get("error") else ""
    return f"{data['status']}{who}{why}"


def _spoken(run: Run) -> Any:
    return Event.objects.filter(run=run).exclude(kind__in=SILENT)


LEVELS = {"status": "mark", "rolled_back": "mark", "lost": "warning", "restarting": "warning"}
SAYS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "note": lambda data: data["text"],
    "step": _step,
    "saved": lambda data: f"{data['artifact']} at {data['path']}  {pairs(data['summary'])}"[:400],
    "checkpoint": lambda data: f"after step {data['step']}",
    "serving": lambda data: f"{data['model']} answers",
    "restarting": lambda data: (
        f"started again in {data['wait_seconds']:g} s, time {data['time']} in a row: {data['reason']}"
    ),
    "result": lambda data: pairs(data["summary"])[:400],
    "status": _status,
    "rolled_back": lambda data: (
        f"rolled back from {data['name']} (run {data['run']}) at step {data['step']}"
    ),
    "lost": lambda data: f"attempt {data['attempt']} on {data['worker']}: {data['reason']}",
}
