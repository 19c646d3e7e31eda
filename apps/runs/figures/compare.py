"""Runs side by side: which of their numbers are drawn together, and what they were told to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from apps.runs.figures import charts, colours, metrics
from apps.runs.figures.charts import Panel, PanelGroup
from apps.runs.models import Run
from apps.runs.page.configs import groups_of, shown

LEAST, MOST = 2, 6


class Knob(NamedTuple):
    """One knob of the configs by its dotted name; None is a run whose config lacks it."""

    path: str
    help: str
    values: list[str | None]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


@dataclass(frozen=True)
class Compared:
    """One of the runs. ``charted`` is the one whose steps are drawn: of a pipeline its training."""

    run: Run
    charted: Run
    slot: int
    lasts: Mapping[str, float | None] = field(default_factory=dict)

    @cached_property
    def spent(self) -> Mapping[str, float]:
        """Tokens and seconds over all steps."""
        return metrics.totals(self.charted, charts.SPENT)

    @cached_property
    def last_step(self) -> int | None:
        return metrics.last_step(self.charted)


def compared(runs: Sequence[Run]) -> list[Compared]:
    """The runs in their order, with their colours and the ends of their numbers."""
    slots = colours.slots(run.pk for run in runs)
    stages = _stages(runs)
    return [
        Compared(run, charted, slots[run.pk], metrics.lasts(charted))
        for run in runs
        for charted in [stages.get(run.pk, run)]
    ]


def sections(found: Sequence[Compared]) -> list[PanelGroup]:
    """A panel for every metric that at least two of the runs have; of one run, for every one."""
    count: dict[str, int] = {}
    for one in found:
        for name in one.lasts:
            count[name] = count.get(name, 0) + 1
    needed = min(LEAST, len(found))
    shared = sorted(name for name, runs in count.items() if runs >= needed)
    # Runs are the lines here, so every metric is a panel of its own.
    return (
        [group._replace(panels=tuple(_single(group, shared))) for group in charts.every(shared)]
        if shared
        else []
    )


def knobs(found: Sequence[Compared]) -> list[Knob]:
    """Every knob of the configs and what else a run starts from, by dotted name."""
    told = [_told(one.run) for one in found]
    paths = dict.fromkeys(path for one in told for path in one)
    return [
        Knob(
            path,
            next(one[path][1] for one in told if path in one),
            [one[path][0] if path in one else None for one in told],
        )
        for path in paths
    ]


def _single(group: PanelGroup, shared: Sequence[str]) -> Iterator[Panel]:
    seen = set()
    for panel in group.panels:
        for name in charts.expand(panel.names, shared):
            if name not in seen:
                seen.add(name)
                yield Panel(charts.words(name), "", (name,))


def _stages(runs: Sequence[Run]) -> dict[int, Run]:
    """The newest stage of each pipeline that has charts."""
    pipelines = [run.pk for run in runs if run.kind == "pipeline"]
    stages = Run.objects.filter(pipeline__in=pipelines, kind__in=charts.PANELS).order_by("pk")
    return {stage.pipeline_id: stage for stage in stages if stage.pipeline_id is not None}


def _told(run: Run) -> dict[str, tuple[str, str]]:
    """``{"sampling.top_p": ("1", what it is)}``, with what no config holds before it."""
    before: dict[str, tuple[str, str]] = {
        "kind": (run.kind, "Which kind of job it is"),
        "dataset": (str(run.dataset or shown(None)), "The prompts it works on"),
        "seed": (str(run.seed), "What its random choices start from"),
        "code": (run.code_revision[:12] or "unknown", "The revision of Kos"),
    }
    for one in run.inputs.all():
        before[f"input.{one.name}"] = (one.artifact.name, "What it starts from")
    found = {
        knob.path: (knob.value, knob.help)
        for group in groups_of(run, None)
        for knob in group.knobs
    }
    return before | found
