"""What waits for a worker, in the order in which it will start.

A queue is ordered by priority, then by age. A bell only says that something waits: the worker
that hears it takes the first of its queue, whichever run was rung for.
"""

from __future__ import annotations

from typing import Literal

from django.db import transaction
from django.db.models import QuerySet

from apps.runs import services
from apps.runs.models import Run, Status
from kos.config import JOBS
from kos.errors import UserError

QUEUES = ("cpu", "gpu", "serve")
WAITING = (Status.QUEUED, Status.LOST)
MOST = 1000

Move = Literal["up", "down", "first"]


def queue_of(kind: str) -> str:
    """The queue from which runs of ``kind`` are taken."""
    return JOBS[kind].queue


def waiting_runs(queue: str = "") -> QuerySet[Run]:
    """What waits in ``queue``, or anywhere, the next to start first."""
    kinds = [kind for kind, config in JOBS.items() if queue in ("", config.queue)]
    # A pipeline has no process: it waits for nobody.
    return Run.objects.filter(
        status__in=WAITING,
        kind__in=[kind for kind in kinds if kind != "pipeline"],
        attempts_left__gt=0,
        is_stop_requested=False,
    ).order_by("-priority", "pk")


def waiting(queue: str = "") -> list[Run]:
    """The runs that wait in ``queue``, or anywhere, in the order in which they will start."""
    return list(waiting_runs(queue).select_related("owner", "pipeline"))


def places() -> dict[int, int]:
    """The place of every waiting run in its queue, from 1."""
    found: dict[int, int] = {}
    lengths: dict[str, int] = {}
    for pk, kind in waiting_runs().values_list("pk", "kind"):
        queue = queue_of(kind)
        lengths[queue] = found[pk] = lengths.get(queue, 0) + 1
    return found


def claim_for(run_id: int, worker: str, *, lease_seconds: float) -> Run | None:
    """Answer the bell of ``run_id``: take the first of its queue, which need not be that run."""
    kind = Run.objects.filter(pk=run_id).values_list("kind", flat=True).first()
    if kind is None:
        return None
    return claim_first(queue_of(kind), worker, lease_seconds=lease_seconds)


def claim_first(queue: str, worker: str, *, lease_seconds: float) -> Run | None:
    """Take the first of ``queue`` for ``worker``; None when nothing waits there."""
    while True:
        first = waiting_runs(queue).values_list("pk", flat=True).first()
        if first is None:
            return None
        # Another worker may be quicker: then the next one is ours.
        run = services.claim(first, worker, lease_seconds=lease_seconds)
        if run is not None:
            return run


def prioritise(run: Run, priority: int) -> None:
    """Give a waiting run another priority; higher ones start first. Raises UserError."""
    if abs(priority) > MOST:
        raise UserError(f"priority {priority} is out of range; -{MOST} to {MOST} would do")
    changed = waiting_runs().filter(pk=run.pk).update(priority=priority)
    if changed != 1:
        raise UserError(f"{run.name} does not wait any more, so its place cannot change")
    run.priority = priority


@transaction.atomic
def move(run: Run, where: Move) -> None:
    """Move a waiting run within its queue. Raises UserError when it does not wait any more.

    Priorities only rise: a run that were lowered instead would fall behind all who come later.
    """
    queue = queue_of(run.kind)
    # In the order of their numbers, so that two who move at once cannot lock each other out.
    list(waiting_runs(queue).order_by("pk").select_for_update(no_key=True).values_list("pk"))
    order = list(waiting_runs(queue))
    place = next((place for place, one in enumerate(order) if one.pk == run.pk), None)
    if place is None:
        raise UserError(f"{run.name} does not wait any more, so its place cannot change")
    if where == "down":
        # The one below moves up.
        place += 1
    target = 0 if where == "first" else place - 1
    if not 0 <= target < place < len(order):
        return
    order.insert(target, order.pop(place))
    _raise_up_to(order, target)
    run.refresh_from_db(fields=["priority"])


def _raise_up_to(order: list[Run], last: int) -> None:
    """Give those from the front to place ``last`` the priorities that hold this order."""
    raised = []
    for place in range(last, -1, -1):
        run, below = order[place], order[place + 1]
        needed = below.priority + (0 if run.pk < below.pk else 1)
        if run.priority < needed:
            run.priority = needed
            raised.append(run)
    Run.objects.bulk_update(raised, ["priority"])
