"""How far a run is, as its pages draw it: bars, how fast it goes and when it will be done."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from apps.runs import pipelines
from apps.runs.models import Run, Status
from kos.events import Progress

# A pace is told once there is this much to tell it by.
MIN_SECONDS = 2.0
STALE_SECONDS = 120.0


class Pace(NamedTuple):
    """How fast ``unit``s get done, by what this start has done, and how long the rest takes."""

    per_second: float
    left_seconds: float
    unit: str

    @property
    def text(self) -> str:
        """``3.2 steps a minute``; whichever span of time gives a number one can read."""
        if self.unit == "bytes":
            return f"{filesizeformat(self.per_second)} a second"
        spans = ((1, "second"), (60, "minute"), (3600, "hour"))
        rates = [(self.per_second * seconds, word) for seconds, word in spans]
        rate, word = next((one for one in rates if one[0] >= 1), rates[-1])
        return f"{rate:.{0 if rate >= 10 else 1}f} {self.unit} a {word}"

    @property
    def left(self) -> str:
        """``about 12 min left``."""
        if self.left_seconds < 60:
            return "under a minute left"
        return f"about {span(self.left_seconds)} left"

    @property
    def brief(self) -> str:
        """``12 min left``, where there is little room."""
        return f"{span(max(60, self.left_seconds))} left"


class Bar(NamedTuple):
    """One bar: ``done`` of ``total`` ``unit``s of ``stage``."""

    stage: str
    done: float
    total: float
    unit: str = ""
    pace: Pace | None = None

    @property
    def label(self) -> str:
        return self.stage.replace("_", " ")

    @property
    def text(self) -> str:
        """``12 of 30 steps``; bytes in the size they have. Empty where nothing is counted."""
        if not self.total or not self.unit:
            return ""
        if self.unit == "bytes":
            return f"{filesizeformat(self.done)} of {filesizeformat(self.total)}"
        # What is begun is not done: 3.6 steps are 3.
        return f"{math.floor(self.done)} of {self.total:.0f} {self.unit}"

    @property
    def percent(self) -> int:
        return round(100 * min(1.0, self.done / self.total)) if self.total else 0

    @property
    def is_full(self) -> bool:
        return self.total > 0 and self.done >= self.total


def bars(run: Run) -> list[Bar]:
    """One bar a stage of the work; finished ones first, as JSON keeps no order."""
    if run.kind == "pipeline":
        return [Bar(stage.name, stage.done, stage.total) for stage in pipelines.stages_of(run)]
    found = [_bar(run, stage, seen) for stage, seen in run.progress.items()]
    return sorted(found, key=lambda bar: (not bar.is_full, bar.stage))


def overall(run: Run) -> Bar:
    """The whole run as one bar: a pipeline's stages count alike."""
    if run.status == Status.DONE:
        return Bar("done", 1, 1)
    if run.kind == "pipeline":
        stages = pipelines.stages_of(run)
        done = sum(
            1.0 if stage.status == Status.DONE else Bar("", stage.done, stage.total).percent / 100
            for stage in stages
        )
        return Bar("stages", done, len(stages))
    found = bars(run)
    if run.kind == "evaluate":
        return _asked(run, found)
    # Training counts its steps; what it does within a step would make the bar jump.
    steps = [bar for bar in found if bar.unit == "steps"]
    return next(
        (bar for bar in steps or found if not bar.is_full), found[-1] if found else Bar("", 0, 1)
    )


def seen(run: Run, part: Progress) -> dict[str, Any]:
    """What a run keeps of one part: how far it is, and where and when this start took it up.

    A resumed run begins counting anew: the steps of an earlier attempt say nothing about the
    speed of this one.
    """
    now = timezone.now().isoformat()
    old = run.progress.get(part.stage, {})
    is_same_start = (
        old.get("attempt") == run.attempt
        and old.get("total") == part.total
        and part.done >= old.get("done", 0)
    )
    since = {"from": old["from"], "since": old["since"]} if is_same_start else None
    return {
        "done": part.done,
        "total": part.total,
        "unit": part.unit,
        "attempt": run.attempt,
        **(since or {"from": part.done, "since": now}),
        "at": now,
    }


def pace(part: Mapping[str, Any], *, attempt: int) -> Pace | None:
    """The pace of a kept part in this attempt; None while too little was done to tell."""
    since, at = _time(part.get("since")), _time(part.get("at"))
    if part.get("attempt") != attempt or since is None or at is None or not part.get("unit"):
        return None
    seconds, done = (at - since).total_seconds(), part["done"] - part["from"]
    if seconds < MIN_SECONDS or done <= 0 or part["done"] >= part["total"]:
        return None
    left = (part["total"] - part["done"]) * seconds / done
    passed = (timezone.now() - at).total_seconds()
    if passed > max(left, STALE_SECONDS):
        return None  # it should be done by now: nobody knows when it will be
    return Pace(done / seconds, max(0.0, left - passed), part["unit"])


def marks(run: Run) -> dict[str, Any]:
    """What a pipeline keeps of its running stage: the whole of it, and its pace."""
    whole = overall(run)
    part = run.progress.get(whole.stage, {})
    kept = {name: part[name] for name in ("attempt", "from", "since", "at") if name in part}
    return {"done": whole.done, "total": whole.total, "unit": whole.unit, **kept}


def present_stage(pipeline: Run) -> Bar | None:
    """What a pipeline is at, with the pace of that; the whole has none."""
    for stage in pipelines.stage_names(pipeline):
        if pipeline.progress.get(stage, {}).get("status") == Status.RUNNING:
            return stage_bar(pipeline, stage)
    return None


def stage_bar(pipeline: Run, stage: str) -> Bar:
    """One stage as its pipeline knows it."""
    part = pipeline.progress.get(stage, {})
    told = pace(part, attempt=part.get("attempt", 0))
    return Bar(stage, part.get("done", 0), part.get("total", 0), part.get("unit", ""), told)


def span(seconds: float) -> str:
    """``42 s``, ``12 min``, ``3 h 05 min``, ``2 d 4 h``: as exact as one wants to know."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"


def duration(run: Run) -> str:
    """How long the run took, or takes so far; empty before its start."""
    if run.started is None:
        return ""
    until = run.ended or timezone.now()
    return span(max(0.0, (until - run.started).total_seconds()))


def _asked(run: Run, found: Sequence[Bar]) -> Bar:
    """All models of an evaluation as one bar; one that was not asked yet counts as empty."""
    # ``all``, so that a list of runs can fetch the inputs of all of them at once.
    num_models = max(len(found), len(run.inputs.all()), 1)
    return Bar("answers", sum(bar.percent / 100 for bar in found), num_models)


def _bar(run: Run, stage: str, part: Mapping[str, Any]) -> Bar:
    is_going = run.status in (Status.RUNNING, Status.STOPPING)
    told = pace(part, attempt=run.attempt) if is_going else None
    return Bar(stage, part.get("done", 0), part.get("total", 0), part.get("unit", ""), told)


def _time(text: str | None) -> datetime | None:
    return parse_datetime(text) if text else None
