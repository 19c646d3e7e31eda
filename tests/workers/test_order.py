"""Two runs wait for one worker: which is first is said by the queue, not by the bell."""

from __future__ import annotations

import pytest

from apps.runs import services
from apps.runs.models import Status
from apps.runs.operations import waiting
from tests.factories import make_run
from workers import tasks

pytestmark = pytest.mark.django_db


@pytest.fixture
def worked(monkeypatch):
    """The names of the runs in the order in which the worker worked on them, all done at once."""
    names = []

    def work_on(run):
        names.append(run.name)
        services.finish(run.pk, run.attempt, Status.DONE)

    monkeypatch.setattr(tasks, "work_on", work_on)
    return names


def test_a_worker_takes_the_first_of_its_queue_whoever_was_rung_for(worked):
    older, newer = make_run("train", name="older"), make_run("train", name="newer")
    waiting.prioritise(newer, 1)
    for run in (older, newer):
        tasks.execute(run.pk)
    assert worked == ["newer", "older"]


def test_a_lost_bell_costs_a_run_no_more_than_its_turn(worked):
    make_run("train", name="older")
    rung = make_run("train", name="newer")
    tasks.execute(rung.pk)
    tasks.execute(rung.pk)
    assert worked == ["older", "newer"]


def test_a_bell_of_another_queue_brings_nothing_of_this_one(worked):
    make_run("train", name="for a gpu")
    tasks.execute(make_run("base", name="for a cpu").pk)
    assert worked == ["for a cpu"]
