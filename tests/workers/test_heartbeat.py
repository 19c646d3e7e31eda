from __future__ import annotations

import os

import pytest

from apps.runs.models import Machine, Worker
from workers import devices, heartbeat
from workers.heartbeat import Heart

pytestmark = pytest.mark.django_db


def test_a_beat_says_who_and_how_busy_the_machine_is():
    Heart(["gpu"], 1).beat()
    worker = Worker.objects.get()
    assert (worker.name, worker.pid, worker.queues) == (
        devices.worker_name(),
        os.getpid(),
        ["gpu"],
    )
    assert Machine.objects.get().load["memory_total"] > 0


def test_a_worker_that_was_killed_is_cleared_away_by_the_next_one():
    host = devices.host()
    gone = {"host": host, "pid": 2**22 + 1, "queues": ["gpu"], "device": "cpu"}
    Worker.objects.create(name="killed", **gone)
    Worker.objects.create(name="elsewhere", **gone | {"host": "another"})
    Heart(["gpu"], 1).beat()
    assert {worker.name for worker in Worker.objects.all()} == {devices.worker_name(), "elsewhere"}


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_ends_takes_its_leave(monkeypatch):
    heart = Heart(["gpu"], 1)
    monkeypatch.setattr(heart, "beat", heart.ended.set)
    Worker.objects.create(
        name=devices.worker_name(), host="h", pid=1, queues=["gpu"], device="cpu"
    )
    heart.work()
    assert not Worker.objects.exists()


def test_a_database_that_is_away_costs_a_beat_and_no_more(monkeypatch):
    from django.db import OperationalError

    def away(*args, **kwargs):
        raise OperationalError("gone")

    monkeypatch.setattr(heartbeat.connection, "close", lambda: None)
    heartbeat._kept(away)
