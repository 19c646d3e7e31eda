"""Holds what a broken pipeline left against what an unbroken one did."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.standins import KINDS, SAID, STEPS

if TYPE_CHECKING:
    from apps.runs.models import Run


@dataclass
class Comparison:
    """The first pipeline says how all should end. ``wrongs`` are sentences."""

    expected: dict[str, Any] = field(default_factory=dict)
    wrongs: list[str] = field(default_factory=list)
    num_events: int = 0
    num_pipelines: int = 0
    num_attempts: int = 0
    num_lost: Counter[str] = field(default_factory=Counter)

    def hold(self, pipeline: Run, seen: list[int]) -> None:
        """Hold a finished pipeline against the unbroken one, which is the first."""
        from apps.runs.models import Run, Status

        self.num_pipelines += 1
        pipeline.refresh_from_db()
        if pipeline.status != Status.DONE:
            self.wrongs.append(f"pipeline {pipeline.pk} is {pipeline.status}: {pipeline.error}")
        for run in Run.objects.filter(pipeline=pipeline):
            if run.kind in KINDS:
                self._compare_stage(run)
            self._check_log(run)
        self._check_log(pipeline)
        if seen != [*range(1, pipeline.last_seq + 1)]:
            self.wrongs.append(
                f"the browser saw {len(seen)} of {pipeline.last_seq} events, or another order"
            )

    def _compare_stage(self, run: Run) -> None:
        from apps.runs.models import Artifact, Event, Metric
        from apps.traces.models import Trace
        from kos.digests import digest_of

        self.num_attempts += run.attempt
        artifacts = list(Artifact.objects.filter(run=run))
        for artifact in artifacts:
            if digest_of(artifact.location).sha256 != artifact.digest:
                self.wrongs.append(f"artifact {artifact.pk} is not what its digest says")
        sums = Metric.objects.filter(run=run, name="sum").order_by("step")
        traces = Trace.objects.filter(run=run).order_by("step")
        found = {
            "status": run.status,
            "artifacts": [artifact.digest for artifact in artifacts],
            "result": run.result,
            "sums": [*sums.values_list("step", "value")],
            "traces": [*traces.values_list("example_id", "step", "score")],
        }
        if self.expected.setdefault(run.stage, found) != found:
            wanted = self.expected[run.stage]
            names = [name for name in found if found[name] != wanted[name]]
            self.wrongs.append(f"run {run.pk} ({run.stage}) ended otherwise: {', '.join(names)}")
        said = Event.objects.filter(run=run, kind="step").values_list("data", flat=True)
        marks = Counter(f"{one['metrics']['mark']:.0f}" for one in said)
        lost = set((run.folder / SAID).read_text().split()) - marks.keys()
        doubled = sum(times - 1 for times in marks.values())
        self.num_lost += Counter(lost=len(lost), doubled=doubled)
        if lost or doubled or {one["step"] for one in said} != {*range(1, STEPS + 1)}:
            self.wrongs.append(f"run {run.pk}: {len(lost)} events lost, {doubled} doubled")

    def _check_log(self, run: Run) -> None:
        from apps.runs.models import Event

        seqs = list(Event.objects.filter(run=run).order_by("seq").values_list("seq", flat=True))
        self.num_events += len(seqs)
        if seqs != [*range(1, run.last_seq + 1)]:
            self.wrongs.append(f"run {run.pk} has a gap in its events")
