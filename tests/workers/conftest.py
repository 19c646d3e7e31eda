from __future__ import annotations

import threading
import time

import pytest
from django.db import connection

from apps.runs.models import Run
from tests.factories import make_run
from workers import tasks
from workers.jobs import WORK


@pytest.fixture
def make_job(monkeypatch, settings):
    """A queued run whose work is a fake job."""
    monkeypatch.setattr(tasks, "SHUTDOWN", threading.Event())

    def make(job, kind="train", **fields):
        monkeypatch.setitem(WORK, kind, f"tests.workers.fake_jobs:{job}")
        return make_run(kind, **fields)

    return make


@pytest.fixture
def in_background():
    """Runs ``tasks.execute`` in a thread; it is waited for at the end."""
    threads = []

    def work(run):
        try:
            tasks.execute(run.pk)
        finally:
            connection.close()

    def start(run):
        thread = threading.Thread(target=work, args=[run])
        threads.append(thread)
        thread.start()
        return thread

    yield start
    for thread in threads:
        thread.join(30)


@pytest.fixture
def until():
    """Waits for ``is_true()``; fails after two minutes."""

    def wait(is_true, seconds=120):
        deadline = time.monotonic() + seconds
        while not is_true():
            assert time.monotonic() < deadline, list(Run.objects.values())
            time.sleep(0.02)

    return wait
