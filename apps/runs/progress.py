"""How far a run is, as its pages draw it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.template.defaultfilters import filesizeformat

from apps.runs import pipelines
from apps.runs.models import Run, Status


class Bar(NamedTuple):
    """One bar: ``done`` of ``total`` ``unit``s of ``stage``."""

    stage: str
    done: float
    total: float
    unit: str = ""

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
    found = [_bar(stage, seen) for stage, seen in run.progress.items()]
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


def _asked(run: Run, found: Sequence[Bar]) -> Bar:
    """All models of an evaluation as one bar; one that was not asked yet counts as empty."""
    num_models = max(len(found), run.inputs.count(), 1)
    return Bar("answers", sum(bar.percent / 100 for bar in found), num_models)


def _bar(stage: str, seen: Mapping[str, Any]) -> Bar:
    return Bar(stage, seen.get("done", 0), seen.get("total", 0), seen.get("unit", ""))
