"""The life of a run: launched, claimed, stopped, resumed, lost and found, finished.

Every change of status happens under the row's lock and is said in the run's event log. Where
a run is the stage of a pipeline, the pipeline follows in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from apps.accounts import audit
from apps.accounts.models import User, Verb
from apps.datasets.models import DatasetVersion, LabelSet
from apps.runs import events, pipelines, queue
from apps.runs.artifacts import provenance
from apps.runs.models import HELD, Artifact, Run, Status
from apps.runs.operations import workers
from apps.runs.page import progress
from kos.config import JOBS, JobConfig
from kos.errors import UserError
from kos.events import Progress

ATTEMPTS = 5
CLAIMABLE = (Status.QUEUED, Status.LOST)
# Long enough for a bell to be heard.
UNTOUCHED = timedelta(seconds=5)


@transaction.atomic
def launch(
    owner: User,
    kind: str,
    config: JobConfig | Mapping[str, Any],
    *,
    name: str = "",
    inputs: Mapping[str, Artifact] | None = None,
    dataset: DatasetVersion | None = None,
    benchmark: DatasetVersion | None = None,
    labels: LabelSet | None = None,
    seed: int = 0,
) -> Run:
    """Make a run and, once the transaction is in, tell the workers of it.

    ``config`` may be plain JSON; pydantic's ValidationError names a wrong knob. Raises
    UserError when the inputs do not fit what the kind declares, or the knobs each other.
    """
    if kind not in JOBS:
        raise UserError(f"there is no kind of job called {kind!r}; there are {', '.join(JOBS)}")
    if not isinstance(config, JobConfig):
        config = JOBS[kind].model_validate({"kind": kind, **config})
    config.check()
    run = queue.create(
        owner,
        config,
        name=name,
        inputs=inputs,
        dataset=dataset,
        benchmark=benchmark,
        labels=labels,
        seed=seed,
    )
    audit.note(owner, Verb.RUN_LAUNCHED, run, kind=kind)
    if kind == "pipeline":
        pipelines.start(run)
    else:
        events.turn(run, Status.QUEUED)
        queue.ring(run)
    return run


@transaction.atomic
def claim(run_id: int, worker: str, *, lease_seconds: float) -> Run | None:
    """Take a waiting run for ``worker``; None when another was first or there is none to take."""
    claimed = Run.objects.filter(
        pk=run_id, status__in=CLAIMABLE, attempts_left__gt=0, is_stop_requested=False
    ).update(
        status=Status.RUNNING,
        attempt=F("attempt") + 1,
        attempts_left=F("attempts_left") - 1,
        worker=worker,
        lease_until=Now() + timedelta(seconds=lease_seconds),
        started=Coalesce(F("started"), Now()),
        touched=Now(),
    )
    if claimed != 1:
        return None
    run = Run.objects.get(pk=run_id)
    events.say(run, "status", status=run.status, attempt=run.attempt, worker=worker, error="")
    events.announce(run)
    pipelines.note(run)
    return run


@transaction.atomic
def finish(
    run_id: int,
    attempt: int,
    status: Status,
    said: Sequence[events.NewEvent] = (),
    *,
    error: str = "",
    also: Callable[[Run], object] | None = None,
) -> Run:
    """End an attempt with its last words, and go on with the pipeline.

    With status QUEUED (the worker shuts down) or LOST (the process died) the run waits for its
    next attempt, unless it was to be stopped or has no attempt left. Raises FencedOff.
    """
    run = events.lock_held(run_id, attempt)
    events.write(run, said)
    if also is not None:
        also(run)
    if status == Status.QUEUED:
        # Being put back is not the run's fault.
        run.attempts_left = min(run.attempts_left + 1, ATTEMPTS)
        run.save(update_fields=["attempts_left"])
    _settle(run, status, error=error)
    return run


def lapsed() -> list[int]:
    """The runs whose workers let their lease run out."""
    held = Run.objects.filter(status__in=HELD, lease_until__lt=Now())
    return list(held.values_list("pk", flat=True))


@transaction.atomic
def lose(run_id: int, *, also: Callable[[Run], object] | None = None) -> bool:
    """Put back a run whose lease ran out; False when it spoke or another saw to it meanwhile."""
    lapsed = Run.objects.select_for_update(no_key=True, skip_locked=True).filter(
        pk=run_id, status__in=HELD, lease_until__lt=Now()
    )
    run = lapsed.first()
    if run is None:
        return False
    events.say(run, "lost", attempt=run.attempt, worker=run.worker, reason="its lease ran out")
    if also is not None:
        also(run)
    _settle(run, Status.LOST, error=f"worker {run.worker or 'unknown'} fell silent")
    return True


def ring_again() -> int:
    """Ring for runs that wait for a while though a worker of theirs is free; returns how many.

    Where all are busy the bells would only pile up in the broker: a worker that becomes free is
    rung for then.
    """
    waiting = Run.objects.filter(status__in=CLAIMABLE, touched__lt=Now() - UNTOUCHED)
    if not waiting.exists():
        return 0
    chosen: list[int] = []
    for name, num in workers.num_free().items():
        kinds = [kind for kind, config in JOBS.items() if config.queue == name]
        first = waiting.filter(kind__in=kinds).order_by("-priority", "pk")
        chosen += first.values_list("pk", flat=True)[:num]
    with transaction.atomic():
        runs = list(waiting.select_for_update(no_key=True, skip_locked=True).filter(pk__in=chosen))
        Run.objects.filter(pk__in=[run.pk for run in runs]).update(touched=Now())
        for run in runs:
            queue.ring(run)
    return len(runs)


def stop(run: Run) -> None:
    """Ask a run to stop. One that waits is cancelled at once; an ended one is left alone."""
    _note_deed(Verb.RUN_STOPPED, run, is_due=run.can_stop)
    if run.kind == "pipeline":
        pipelines.stop(run, stop)
        return
    with transaction.atomic():
        run = events.lock(run.pk)
        if run.status in CLAIMABLE:
            _settle(run, Status.CANCELLED)
        elif run.status == Status.RUNNING:
            events.turn(run, Status.STOPPING)
            pipelines.note(run)


def resume(run: Run) -> None:
    """Queue a failed or stopped run again; it goes on from its checkpoint."""
    _note_deed(Verb.RUN_RESUMED, run, is_due=run.can_resume)
    if run.kind == "pipeline":
        pipelines.resume(run, resume)
        return
    with transaction.atomic():
        run = events.lock(run.pk)
        if not run.can_resume:
            return
        run.attempts_left = ATTEMPTS
        run.save(update_fields=["attempts_left"])
        events.turn(run, Status.QUEUED)
        pipelines.take_up(run)
        queue.ring(run)


def note_progress(run: Run, parts: Sequence[Progress]) -> None:
    """Keep how far a locked run's work is, and let its pipeline know of the whole of it."""
    for part in parts:
        run.progress[part.stage] = progress.seen(run, part)
    run.save(update_fields=["progress"])
    pipelines.note(run, **progress.marks(run))


def note_checkpoint(run: Run) -> None:
    """A locked run got somewhere: its attempts count from the start again."""
    if run.attempts_left < ATTEMPTS:
        run.attempts_left = ATTEMPTS
        run.save(update_fields=["attempts_left"])


def note_result(run: Run, summary: Mapping[str, Any]) -> None:
    """Keep the closing numbers of a locked run."""
    run.result |= summary
    run.save(update_fields=["result"])


def note_serving(run: Run) -> None:
    """A locked deployment answers: that is all its pipeline waits for."""
    note_checkpoint(run)
    pipelines.note(run, done=1, total=1)
    pipelines.advance(run)


def keep_artifact(
    run: Run,
    kind: str,
    path: str,
    *,
    digest: str,
    size_bytes: int,
    summary: Mapping[str, Any] | None = None,
) -> Artifact:
    """The row of what stands whole at ``path``, relative to the run's folder.

    What an attempt after a crash makes again replaces the row of the same path.
    """
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise UserError(f"an artifact lies below its run's folder, not at {path}")
    artifact, _ = Artifact.objects.update_or_create(
        run=run,
        path=str(PurePosixPath(str(run.pk)) / path),
        defaults={
            "kind": kind,
            "name": f"{run.name} ({PurePosixPath(path).name})"[:160],
            "size_bytes": size_bytes,
            "digest": digest,
            "summary": dict(summary or {}),
            "format": provenance.format_of(run, kind, summary or {}),
            "base": provenance.base_of(run, kind),
            "freed": None,
            "freed_by": None,
        },
    )
    return artifact


def _note_deed(verb: Verb, run: Run, *, is_due: bool) -> None:
    """Write down what somebody did to a run; its stages follow by themselves."""
    if is_due and run.pipeline_id is None:
        audit.note(audit.actor(), verb, run)


def _settle(run: Run, status: Status, *, error: str = "") -> None:
    """Let go of a locked run: it ended, or it waits for its next attempt."""
    if status in CLAIMABLE and run.is_stop_requested:
        status, error = Status.CANCELLED, ""
    elif status == Status.LOST and run.attempts_left == 0:
        status = Status.FAILED
        error = f"{error}; given up after {ATTEMPTS} attempts without a new checkpoint"
    events.turn(run, status, error=error)
    if status in CLAIMABLE:
        pipelines.note(run)
        queue.ring(run)
    else:
        pipelines.advance(run)
