"""Turns what a job says into rows, inside the transaction that keeps the events."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import assert_never

from apps.deployments import services as deployments
from apps.runs import services as runs
from apps.runs.events import NewEvent
from apps.runs.figures import metrics
from apps.runs.models import Run
from apps.traces import services as traces
from kos.events import (
    Checkpointed,
    Note,
    Progress,
    Restarting,
    Result,
    RolloutDone,
    Saved,
    Serving,
    StepDone,
)
from workers.lines import Line

# A bar need not move more often; every move is an event of the pipeline.
PROGRESS_SECONDS = 0.5


class Reporter:
    """What one attempt leaves behind. Keeping the same lines twice leaves the same rows."""

    def __init__(self, run: Run) -> None:
        self.attempt = run.attempt
        self.is_restricted = run.dataset is not None and run.dataset.is_restricted
        self._progress: dict[str, Progress] = {}
        self._next_progress = 0.0

    def entries(self, lines: Sequence[Line]) -> list[NewEvent]:
        return [line.entry(is_restricted=self.is_restricted) for line in lines]

    def keep(self, run: Run, lines: Sequence[Line], *, is_last: bool = False) -> None:
        """The rows of ``lines``, the last ones when the process is gone; ``run`` is locked."""
        for line in lines:
            self._keep(run, line)
        metrics.record_steps(
            run,
            [
                metrics.Done(line.event.step, line.event.metrics, line.at)
                for line in lines
                if isinstance(line.event, StepDone)
            ],
        )
        rollouts = [line.data for line in lines if isinstance(line.event, RolloutDone)]
        if rollouts:
            traces.record(run, self.attempt, rollouts)
        if self._progress and (is_last or time.monotonic() >= self._next_progress):
            runs.note_progress(run, list(self._progress.values()))
            self._next_progress = time.monotonic() + PROGRESS_SECONDS
        if is_last:
            deployments.mark_stopped(run)

    def _keep(self, run: Run, line: Line) -> None:
        match line.event:
            case None | Note() | StepDone() | RolloutDone():
                pass  # the event itself is enough; numbers and rollouts are kept in one go
            case Progress() as part:
                # The latest part goes last: it is the one the pipeline's bar shows.
                self._progress.pop(part.stage, None)
                self._progress[part.stage] = part
            case Checkpointed():
                runs.note_checkpoint(run)
            case Saved() as saved:
                runs.keep_artifact(
                    run,
                    saved.artifact,
                    saved.path,
                    digest=line.digest,
                    size_bytes=line.size_bytes,
                    summary=saved.summary,
                )
            case Serving() as serving:
                deployments.mark_ready(run, serving)
                runs.note_serving(run)
            case Restarting() as restarting:
                deployments.mark_restarting(run, restarting.reason)
            case Result() as result:
                runs.note_result(run, result.summary)
            case _:
                assert_never(line.event)
