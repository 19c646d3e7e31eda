"""Leases and heartbeats go by the database's clock: a worker's may say what it likes."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from apps.runs import events, services
from apps.runs.models import Run, Status, Worker
from apps.runs.operations import workers
from tests.factories import make_run

pytestmark = pytest.mark.django_db
YEAR = timedelta(days=365)


@pytest.fixture(params=[YEAR, -YEAR], ids=["a year ahead", "a year behind"])
def shifted(request, monkeypatch):
    """This process' wall clock is off."""
    seconds = time.time
    monkeypatch.setattr(timezone, "now", lambda: datetime.now(UTC) + request.param)
    monkeypatch.setattr(time, "time", lambda: seconds() + request.param.total_seconds())


def held():
    run = make_run()
    return services.claim(run.pk, "worker", lease_seconds=60)


def test_a_lease_that_was_just_taken_has_not_lapsed(shifted):
    run = held()
    assert services.lapsed() == []
    assert not services.lose(run.pk)


def test_a_heartbeat_renews_the_lease_for_its_length_and_no_longer(shifted):
    run = held()
    events.append(run.pk, run.attempt, [], lease_seconds=0.001)
    time.sleep(0.01)
    # Within this transaction the database's clock stands still at its start.
    assert Run.objects.get(pk=run.pk).lease_until - run.lease_until < timedelta(0)


def test_a_worker_that_just_beat_is_not_silent(shifted):
    workers.beat("w", host="h", pid=1, queues=["gpu"], device="cpu", slots=2)
    (found,) = workers.all_held()
    assert (found.silent, found.num_free) == (None, 2)
    assert workers.forget() == 0
    assert Worker.objects.exists()


def test_a_run_that_waits_is_rung_for_by_the_databases_clock(shifted, monkeypatch):
    rung = []
    monkeypatch.setattr(services.queue, "ring", rung.append)
    workers.beat("w", host="h", pid=1, queues=["cpu"], device="cpu", slots=2)
    run = make_run()
    events.turn(run, Status.QUEUED)
    assert services.ring_again() == 0
    Run.objects.filter(pk=run.pk).update(touched=Now() - timedelta(minutes=1))
    assert services.ring_again() == 1
    assert rung == [run]


def test_a_run_of_a_worker_with_another_clock_ends_as_any(shifted):
    run = held()
    done = services.finish(run.pk, run.attempt, Status.DONE)
    assert (done.status, done.lease_until) == (Status.DONE, None)
