"""A restart of the running console: its own folder, port and database, and a fake training."""

from __future__ import annotations

import os
import random
import signal
import threading
from itertools import accumulate

import httpx
import psycopg
import pytest
from django.conf import settings

from kosweb.embedded import postgres
from tests.consoles import Console, wait_until

pytestmark = pytest.mark.slow

# Enough to be at work still when its worker is replaced.
STEPS = 2000
FAKED = 'import workers.jobs\nworkers.jobs.WORK["train"] = "tests.workers.fake_jobs:count"\n'
BEGIN = f"""
from apps.accounts.models import User
from apps.runs.queue import ring
from kos.config import Train
from tests.factories import make_run
config = Train(steps={STEPS}).model_dump(mode="json")
run = make_run("train", seed=7, config=config, owner=User.objects.first())
ring(run)
"""
LAST = "runs_run where id = (select max(id) from runs_run)"
SAID = "from runs_event where run_id = (select max(id) from runs_run)"


class Restarted(Console):
    """A console whose trainings are fake, and what is asked of it."""

    def __init__(self, var, port):
        super().__init__(var, port)
        (var / "site").mkdir()
        self.customised = var / "site/sitecustomize.py"
        self.customised.write_text(FAKED)
        self.environment["PYTHONPATH"] = f"{var / 'site'}{os.pathsep}{settings.ROOT}"

    @property
    def pids(self):
        return {web.pid for web in self.webs}

    @property
    def steps(self):
        """What the run said of its steps."""
        return [row[0] for row in self.ask(f"select data {SAID} and kind = 'step'")]

    def ask(self, query):
        with psycopg.connect(postgres.url(self.var)) as database:
            return database.execute(query).fetchall()


class Client(threading.Thread):
    """Asks without a pause, on a new connection each time and on an old one, until told."""

    def __init__(self, url):
        super().__init__()
        self.url, self.is_over = url, threading.Event()
        self.replies, self.faults = [], []

    def run(self):
        with httpx.Client(timeout=60) as old:
            while not self.is_over.is_set():
                for ask in (httpx.get, old.get):
                    try:
                        self.replies.append(ask(f"{self.url}/readyz", timeout=60).status_code)
                    except httpx.TransportError as error:
                        self.faults.append(repr(error))


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    with Restarted.running(tmp_path_factory.mktemp("up")) as console:
        yield console


def test_nobody_is_turned_away_and_a_run_goes_on(console):
    made = console.manage("shell", "-c", BEGIN)
    assert made.returncode == 0, made.stderr
    wait_until(lambda: len(console.steps) > 20)
    client, before = Client(console.url), console.pids
    client.start()
    done = console.manage("restart")
    wait_until(lambda: not before & console.pids)
    client.is_over.set()
    client.join()
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "done"), done
    assert (client.faults, {*client.replies}) == ([], {200})
    wait_until(lambda: console.ask(f"select status from {LAST}") == [("done",)])
    check_events(console)


def check_events(console):
    """Each step once, but for the one between its event and its checkpoint, to the same number."""
    numbers = (random.Random(f"7/{step}").random() for step in range(1, STEPS + 1))
    expected = dict(enumerate(accumulate(numbers), start=1))
    steps = console.steps
    assert {step["step"]: step["metrics"]["sum"] for step in steps} == expected
    assert len(steps) <= STEPS + 1
    seqs = [row[0] for row in console.ask(f"select seq {SAID} order by seq")]
    assert seqs == [*range(1, len(seqs) + 1)]
    assert console.ask(f"select attempt from {LAST}") == [(2,)]
    assert console.ask(f"select count(*) {SAID} and kind = 'lost'") == [(0,)]


def test_a_release_that_does_not_start_leaves_the_old_one_at_work(console):
    before = console.pids
    console.customised.write_text("raise SystemExit('a release that is broken')\n")
    try:
        console.process.send_signal(signal.SIGUSR2)
        console.wait_for("given up: what ran before goes on")
    finally:
        console.customised.write_text(FAKED)
    assert console.pids == before
    wait_until(console.is_healthy)


def test_without_a_console_it_is_said(console, tmp_path):
    found = console.manage("restart", KOS_VAR=str(tmp_path))
    assert found.returncode == 1
    assert "start it with manage.py up" in found.stderr
