from __future__ import annotations

import pytest

from apps.runs import services
from apps.runs.models import Machine, Worker
from apps.runs.operations import workers
from tests.factories import make_run

pytestmark = pytest.mark.django_db

LONG_AGO = "2020-01-01T00:00Z"


def beat(name: str = "here:1 cuda:0", device: str = "cuda:0", slots: int = 1) -> None:
    workers.beat(name, host="here", pid=1, queues=["gpu"], device=device, slots=slots)


def test_a_worker_has_one_row_however_often_it_beats():
    beat()
    Worker.objects.update(heard=LONG_AGO)
    beat()
    (held,) = workers.all_held()
    assert (held.silent, held.num_free) == (None, 1)


def test_a_worker_whose_row_was_cleared_comes_back():
    beat()
    workers.leave("here:1 cuda:0")
    beat()
    assert Worker.objects.count() == 1


def test_a_worker_holds_the_runs_that_it_claimed():
    beat(slots=2)
    run = services.claim(make_run("train").pk, "here:1 cuda:0", lease_seconds=60)
    (held,) = workers.all_held()
    assert (held.runs, held.num_free) == ([run], 1)


def test_a_silent_worker_is_not_free():
    beat()
    Worker.objects.update(heard=LONG_AGO)
    (held,) = workers.all_held()
    assert held.silent is not None
    assert held.num_free == 0


def test_one_worker_measures_the_machine_for_all():
    looks = []
    for _ in range(3):
        workers.measure("here", lambda: looks.append(1) or {"cpu": 1})
    assert len(looks) == 1
    assert Machine.objects.get().load == {"cpu": 1}


def test_a_machine_is_measured_again_when_it_is_time():
    workers.measure("here", lambda: {"cpu": 1})
    Machine.objects.update(heard=LONG_AGO)
    assert workers.measure("here", lambda: {"cpu": 2})
    assert Machine.objects.get().load == {"cpu": 2}


def test_a_gpu_is_shown_with_what_runs_on_it_and_without_a_worker():
    beat()
    gpus = [{"index": 0, "name": "H200"}, {"index": 1, "name": "H200"}]
    workers.measure("here", lambda: {"gpus": gpus})
    run = services.claim(make_run("train").pk, "here:1 cuda:0", lease_seconds=60)
    (place,) = workers.places()
    shown = [(device.name, device.runs, device.is_alive) for device in place.devices]
    assert shown == [("cuda:0", [run], True), ("cuda:1", [], False)]


def test_what_was_silent_for_long_is_forgotten():
    beat()
    beat("here:2 cpu", "cpu")
    Worker.objects.filter(device="cpu").update(heard=LONG_AGO)
    assert workers.forget() == 1
    assert Worker.objects.get().device == "cuda:0"
