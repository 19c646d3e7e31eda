"""The workers and their machines, as they were last heard of: how they report, and who reads it.

A worker says every few seconds that it lives; what it works on stands in the runs that it
holds. One worker of a machine measures the machine for all.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from django.db.models import DurationField, ExpressionWrapper, F, Q
from django.db.models.functions import Now

from apps.runs.models import HELD, Machine, Run, Worker

BEAT_SECONDS = 5.0
# Three beats and a half: one that was late is no reason to worry.
SILENT = timedelta(seconds=3.5 * BEAT_SECONDS)
FORGOTTEN = timedelta(hours=1)

_AGE = ExpressionWrapper(Now() - F("heard"), output_field=DurationField())


class Held(NamedTuple):
    """A worker with the runs that it holds; ``silent`` is how long nothing was heard of it."""

    worker: Worker
    runs: list[Run]
    silent: timedelta | None

    @property
    def num_free(self) -> int:
        """How many more runs it takes at once."""
        return max(0, self.worker.slots - len(self.runs)) if self.silent is None else 0


class Device(NamedTuple):
    """What jobs compute on, how busy it was when it was measured, and the runs on it now."""

    name: str
    about: dict[str, Any]
    runs: list[Run]
    is_alive: bool


class Place(NamedTuple):
    """A machine with its workers and devices; ``load`` is what was measured last."""

    host: str
    load: dict[str, Any]
    silent: timedelta | None
    workers: list[Held]
    devices: list[Device]


def beat(
    name: str, *, host: str, pid: int, queues: Sequence[str], device: str, slots: int
) -> None:
    """Say that a worker lives; its row is made anew if it was cleared away."""
    known = {"host": host, "pid": pid, "queues": [*queues], "device": device, "slots": slots}
    if not Worker.objects.filter(name=name).update(heard=Now(), **known):
        Worker.objects.get_or_create(name=name, defaults=known)


def measure(host: str, look: Callable[[], dict[str, Any]]) -> bool:
    """Keep what ``look`` finds of the machine, unless another worker there has just looked."""
    Machine.objects.get_or_create(host=host)
    due = Q(heard=None) | Q(heard__lt=Now() - timedelta(seconds=0.8 * BEAT_SECONDS))
    is_ours = Machine.objects.filter(due, host=host).update(heard=Now()) == 1
    if is_ours:
        Machine.objects.filter(host=host).update(load=look())
    return is_ours


def leave(name: str) -> None:
    """A worker ends: nobody need wonder why it is silent."""
    Worker.objects.filter(name=name).delete()


def forget() -> int:
    """Clear away what was not heard of for a long time; returns how many workers."""
    Machine.objects.filter(heard__lt=Now() - FORGOTTEN).delete()
    return Worker.objects.filter(heard__lt=Now() - FORGOTTEN).delete()[0]


def all_held() -> list[Held]:
    """Every worker with its runs, by machine."""
    holding = defaultdict(list)
    for run in Run.objects.filter(status__in=HELD).exclude(worker="").order_by("pk"):
        holding[run.worker].append(run)
    return [
        Held(worker, holding[worker.name], worker.age if worker.age > SILENT else None)
        for worker in Worker.objects.annotate(age=_AGE)
    ]


def num_free() -> Counter[str]:
    """How many more runs the workers take at once, by queue."""
    free = Counter[str]()
    for held in all_held():
        for queue in held.worker.queues:
            free[queue] += held.num_free
    return free


def places() -> list[Place]:
    """Every machine with its workers, and how its devices are."""
    machines = {machine.host: machine for machine in Machine.objects.annotate(age=_AGE)}
    by_host = defaultdict(list)
    for held in all_held():
        by_host[held.worker.host].append(held)
    return [_place(host, by_host[host], machines.get(host)) for host in sorted(by_host)]


def _place(host: str, workers: list[Held], machine: Any) -> Place:
    load: dict[str, Any] = machine.load if machine else {}
    age: timedelta | None = machine.age if machine else None
    gpus = {f"cuda:{gpu['index']}": gpu for gpu in load.get("gpus", ())}
    # A GPU that no worker uses is shown all the same: it could be used.
    names = sorted({held.worker.device for held in workers} | gpus.keys())
    return Place(
        host,
        load,
        age if age is not None and age > SILENT else None,
        workers,
        [_device(name, workers, gpus.get(name, {})) for name in names],
    )


def _device(name: str, workers: list[Held], about: dict[str, Any]) -> Device:
    its_own = [held for held in workers if held.worker.device == name]
    return Device(
        name,
        about,
        [run for held in its_own for run in held.runs],
        any(held.silent is None for held in its_own),
    )
