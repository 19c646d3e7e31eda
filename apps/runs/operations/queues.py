"""The queues as a page shows them: who takes from each, who waits, why, and what will come."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from apps.accounts.models import User
from apps.runs import pipelines
from apps.runs.models import Run, Status
from apps.runs.operations import waiting, workers
from apps.runs.operations.workers import Held

SHOWN = 100
PIPELINES = 20


class Waiter(NamedTuple):
    """A run that waits, with its place in its queue and why it has not started."""

    place: int
    run: Run
    why: str


class Later(NamedTuple):
    """A stage that will be queued once the stages before it are done."""

    name: str
    pipeline: Run
    why: str


class Queue(NamedTuple):
    """One queue."""

    name: str
    workers: list[Held]
    waiters: list[Waiter]
    num_waiting: int
    later: list[Later]

    @property
    def num_free(self) -> int:
        return sum(held.num_free for held in self.workers)

    @property
    def num_hidden(self) -> int:
        return self.num_waiting - len(self.waiters)

    @property
    def running(self) -> list[Run]:
        return [run for held in self.workers for run in held.runs]


def queues(user: User) -> list[Queue]:
    """Every queue with what ``user`` may see of it."""
    held, later = workers.all_held(), _later(user)
    return [_queue(user, name, held, later.get(name, [])) for name in waiting.QUEUES]


def fingerprint(shown: list[Queue]) -> str:
    """Changes when anything that the page shows of the queues does."""
    said = [
        (
            queue.name,
            queue.num_waiting,
            [(w.run.pk, w.run.priority, w.run.status, w.why) for w in queue.waiters],
            [(h.worker.pk, h.silent is None, [run.pk for run in h.runs]) for h in queue.workers],
            [(one.pipeline.pk, one.why) for one in queue.later],
        )
        for queue in shown
    ]
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


def _queue(user: User, name: str, everybody: list[Held], later: list[Later]) -> Queue:
    taking = [held for held in everybody if name in held.worker.queues]
    runs = waiting.waiting_runs(name).filter(pk__in=Run.objects.visible_to(user))
    shown = list(runs.select_related("owner", "pipeline")[: SHOWN + 1])
    num_waiting = len(shown) if len(shown) <= SHOWN else runs.count()
    waiters = [
        Waiter(place, run, why(place, run, name, taking))
        for place, run in enumerate(shown[:SHOWN], start=1)
    ]
    return Queue(name, taking, waiters, num_waiting, later)


def why(place: int, run: Run, queue: str, taking: list[Held]) -> str:
    """Why the run at ``place`` of its queue has not started, in a sentence."""
    lost = "Its worker fell silent. " if run.status == Status.LOST else ""
    alive = [held for held in taking if held.silent is None]
    if not taking:
        return f"{lost}No worker takes from {queue}: start one."
    if not alive:
        return f"{lost}Every worker of {queue} is silent."
    if place <= sum(held.num_free for held in alive):
        return f"{lost}A worker is free: it starts in a moment."
    if place > 1:
        return f"{lost}Behind {place - 1} other{'s' if place > 2 else ''}."
    held = [one.name for worker in alive for one in worker.runs]
    return f"{lost}Next, when {' or '.join(held[:3])} is done."


def _later(user: User) -> dict[str, list[Later]]:
    """What pipelines at work will queue, by queue."""
    found: dict[str, list[Later]] = {}
    at_work = Run.objects.visible_to(user).filter(kind="pipeline", status=Status.RUNNING)
    for pipeline in at_work.select_related("dataset", "benchmark").order_by("pk")[:PIPELINES]:
        before = ""
        for stage in pipelines.plan(pipeline):
            if stage.name not in pipeline.progress and before:
                said = Later(stage.name, pipeline, f"After {before.replace('_', ' ')}.")
                found.setdefault(stage.config.queue, []).append(said)
            before = stage.name
    return found
