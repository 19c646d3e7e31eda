"""The worker is killed in the middle: Celery, Valkey, reconciler and all, as in real life."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from datetime import timedelta
from itertools import accumulate

import psutil
import pytest
from django.db import connection
from django.utils import timezone
from psycopg.conninfo import make_conninfo

from apps.runs.models import Event, Metric, Run, Status
from kos.config import Train
from kosweb.embedded import valkey
from tests.factories import make_run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

STEPS = 150


@pytest.fixture
def start(tmp_path, artifacts):
    """Starts a module as a process against the test's database and a broker of its own."""
    log = tmp_path / "valkey.log"
    broker = valkey.make(tmp_path, log)
    broker.start()
    at = {key: connection.settings_dict[key.upper()] for key in ("host", "port", "user")}
    at = {key: value for key, value in at.items() if value}
    environment = os.environ | {
        "DATABASE_URL": make_conninfo(dbname=connection.settings_dict["NAME"], **at),
        "REDIS_URL": valkey.url(tmp_path),
        "KOS_ARTIFACTS": str(artifacts),
        "KOS_LEASE_SECONDS": "3",
        "DJANGO_SETTINGS_MODULE": "kosweb.settings",
    }
    started = []

    def start_one(module):
        with (tmp_path / f"{module}.log").open("ab") as out:
            command = [sys.executable, "-m", module]
            started.append(subprocess.Popen(command, env=environment, stdout=out, stderr=out))
        return started[-1]

    yield start_one
    for process in started:
        process.terminate()
        process.wait(60)
    broker.stop()


def steps_of(run):
    """Steps and their sums, in order."""
    said = Event.objects.filter(run=run, kind="step").order_by("seq")
    return [(one.data["step"], one.data["metrics"]["sum"]) for one in said]


def expected_sums(seed):
    numbers = (random.Random(f"{seed}/{step}").random() for step in range(1, STEPS + 1))
    return list(enumerate(accumulate(numbers), start=1))


def test_a_killed_worker_loses_no_event_and_changes_no_result(start, until):
    run = make_run("train", seed=7, config=Train(steps=STEPS).model_dump(mode="json"))
    # Old enough that the reconciler rings for it.
    Run.objects.filter(pk=run.pk).update(touched=timezone.now() - timedelta(minutes=1))
    reconciler = start("workers.reconcile")
    worker = start("tests.workers.fake_worker")
    until(lambda: len(steps_of(run)) >= 20)
    job = next(one for one in psutil.Process(worker.pid).children(recursive=True))
    worker.kill()
    worker.wait()
    until(lambda: not job.is_running() or job.status() == psutil.STATUS_ZOMBIE)
    start("tests.workers.fake_worker")
    until(lambda: Run.objects.get(pk=run.pk).status == Status.DONE)
    run.refresh_from_db()
    assert (run.attempt, run.result["step"]) == (2, STEPS)
    assert run.result["sum"] == expected_sums(7)[-1][1]
    # The step between its event and its checkpoint may be done again, to the same numbers.
    steps = steps_of(run)
    assert sorted(set(steps)) == expected_sums(7)
    assert len(steps) <= STEPS + 1
    rows = Metric.objects.filter(run=run, name="sum").order_by("step")
    assert [*rows.values_list("step", "value")] == expected_sums(7)
    seqs = list(Event.objects.filter(run=run).values_list("seq", flat=True))
    assert seqs == list(range(1, run.last_seq + 1))
    assert Event.objects.filter(run=run, kind="lost").count() == 1
    reconciler.terminate()
    assert reconciler.wait(60) == 0
