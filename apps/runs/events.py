"""The event log of a run, and the transaction through which a worker speaks.

``append`` does everything a worker needs at once: it fences (only the attempt that holds the
run may speak), gives the events the next sequence numbers under the row's lock, renews the
lease and brings back whether the run was asked to stop.

Locks are always taken in one order: a stage's row first, then its pipeline's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from apps.automation import hooks
from apps.runs.fitting import fit
from apps.runs.models import ENDED, HELD, Event, Run, Status

CHANNEL = "kos_events"
# What webhooks hear of: the kinds are ``apps.automation.hooks.KINDS``.
ANNOUNCED = {
    Status.QUEUED: "run.queued",
    Status.RUNNING: "run.started",
    Status.DONE: "run.done",
    Status.FAILED: "run.failed",
    Status.CANCELLED: "run.cancelled",
    Status.LOST: "run.lost",
}


class FencedOff(Exception):
    """The run is no longer this attempt's: it ended, was lost, or another worker has it."""

    def __init__(self, run_id: int, attempt: int) -> None:
        super().__init__(run_id, attempt)

    def __str__(self) -> str:
        run_id, attempt = self.args
        return f"run {run_id} is no longer held by attempt {attempt}"


class NewEvent(NamedTuple):
    """Something to say; ``at`` is when it happened."""

    kind: str
    data: dict[str, Any]
    at: datetime


class Answer(NamedTuple):
    """What an append brings back: the run's last sequence number and the stop flag."""

    last_seq: int
    is_stop_requested: bool


def new(kind: str, /, **data: Any) -> NewEvent:
    """Something the console itself says, now."""
    return NewEvent(kind, data, timezone.now())


def append(
    run_id: int,
    attempt: int,
    events: Sequence[NewEvent],
    *,
    lease_seconds: float,
    also: Callable[[Run], object] | None = None,
) -> Answer:
    """Say ``events`` as ``attempt`` and renew its lease; without events it is a heartbeat.

    ``also`` runs inside the transaction with the locked run, after the events are in. Raises
    FencedOff when the attempt does not hold the run any more.
    """
    with transaction.atomic():
        run = lock_held(run_id, attempt)
        # The database's clock: workers on several machines need not agree on the time.
        Run.objects.filter(pk=run_id).update(
            lease_until=Now() + timedelta(seconds=lease_seconds), touched=Now()
        )
        write(run, events)
        if also is not None:
            also(run)
    return Answer(run.last_seq, run.is_stop_requested)


def lock(run_id: int) -> Run:
    """The run, its row locked until the transaction ends."""
    # NO KEY UPDATE: rows that only refer to the run need not wait for us.
    return Run.objects.select_for_update(no_key=True).get(pk=run_id)


def lock_held(run_id: int, attempt: int) -> Run:
    """The run, locked, if ``attempt`` holds it; otherwise raises FencedOff."""
    held = Run.objects.select_for_update(no_key=True).filter(
        pk=run_id, attempt=attempt, status__in=HELD
    )
    run = held.first()
    if run is None:
        raise FencedOff(run_id, attempt)
    return run


def write(run: Run, events: Sequence[NewEvent]) -> None:
    """Put ``events`` into the log of a locked run and wake who listens, on commit."""
    if not events:
        return
    first = run.last_seq + 1
    run.last_seq += len(events)
    run.save(update_fields=["last_seq"])
    Event.objects.bulk_create(
        Event(run=run, seq=seq, attempt=run.attempt, kind=kind, data=fit(data), at=at)
        for seq, (kind, data, at) in enumerate(events, start=first)
    )
    # Only numbers travel: a NOTIFY holds 8,000 bytes at most.
    payload = json.dumps({"run": run.pk, "first": first, "last": run.last_seq})
    with connection.cursor() as cursor:
        cursor.execute("select pg_notify(%s, %s)", [CHANNEL, payload])


def say(run: Run, kind: str, /, **data: Any) -> None:
    """One event in the log of a locked run, said by the console itself."""
    write(run, [new(kind, **data)])


def turn(run: Run, status: Status, *, error: str = "") -> None:
    """Change the status of a locked run, with what goes with it, and say so."""
    run.status = status
    run.error = error
    run.ended = timezone.now() if status in ENDED else None
    if status not in HELD:
        run.lease_until = None
        run.worker = ""
    run.is_stop_requested = status in (Status.STOPPING, Status.CANCELLED)
    changed = ("status", "error", "ended", "lease_until", "worker", "is_stop_requested")
    # The reconciler holds ``touched`` against the database's clock.
    Run.objects.filter(pk=run.pk).update(
        **{name: getattr(run, name) for name in changed}, touched=Now()
    )
    say(run, "status", status=str(status), error=error)
    announce(run)


def announce(run: Run) -> None:
    """Tell webhooks how a locked run stands; on the way to an end there is nothing to tell."""
    kind = ANNOUNCED.get(Status(run.status))
    if kind is None:
        return
    told = {
        "id": run.pk,
        "name": run.name,
        "kind": run.kind,
        "status": str(run.status),
        "owner": run.owner.username,
        "pipeline": run.pipeline_id,
        "attempt": run.attempt,
        "error": run.error,
    }
    hooks.announce(kind, run.owner_id, told)
