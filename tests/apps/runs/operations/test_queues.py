from __future__ import annotations

import pytest

from apps.runs import services
from apps.runs.models import Run
from apps.runs.operations import queues, workers
from tests.factories import make_artifact, make_run, make_user, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def user():
    return make_user()


def start_worker(name: str = "w", slots: int = 1, queue: str = "gpu") -> None:
    workers.beat(name, host="here", pid=1, queues=[queue], device="cpu", slots=slots)


def reasons(user, name: str = "gpu") -> list[str]:
    found = {queue.name: queue for queue in queues.queues(user)}
    return [waiter.why for waiter in found[name].waiters]


def test_without_a_worker_a_run_waits_for_one(user):
    make_run("train")
    assert reasons(user) == ["No worker takes from gpu: start one."]


def test_a_silent_worker_is_no_help(user):
    start_worker()
    make_run("train")
    workers.Worker.objects.update(heard="2020-01-01T00:00Z")
    assert reasons(user) == ["Every worker of gpu is silent."]


def test_the_first_starts_at_once_and_the_others_behind_it(user):
    start_worker()
    for _ in range(3):
        make_run("train")
    assert reasons(user) == [
        "A worker is free: it starts in a moment.",
        "Behind 1 other.",
        "Behind 2 others.",
    ]


def test_the_next_waits_for_what_runs(user):
    start_worker()
    services.claim(make_run("train", name="the first").pk, "w", lease_seconds=60)
    make_run("train")
    assert reasons(user) == ["Next, when the first is done."]


def test_a_lost_run_says_so(user):
    make_run("train", status="lost")
    assert reasons(user)[0].startswith("Its worker fell silent.")


def test_a_pipelines_later_stages_wait_for_those_before_them(user):
    given = {"inputs": {"base": make_artifact()}, "dataset": make_version()}
    services.launch(user, "pipeline", {}, name="the way", **given)
    later = {queue.name: queue.later for queue in queues.queues(user)}
    said = [(one.name, one.why) for one in later["gpu"]]
    assert ("train", "After sft.") in said
    assert [one.name for one in later["serve"]] == ["deploy"]


def test_what_is_hidden_is_counted(user, monkeypatch):
    monkeypatch.setattr(queues, "SHOWN", 2)
    for _ in range(5):
        make_run("train")
    gpu = next(queue for queue in queues.queues(user) if queue.name == "gpu")
    assert (len(gpu.waiters), gpu.num_hidden) == (2, 3)


def test_the_fingerprint_follows_what_is_shown(user):
    run = make_run("train")
    before = queues.fingerprint(queues.queues(user))
    assert queues.fingerprint(queues.queues(user)) == before
    Run.objects.filter(pk=run.pk).update(priority=1)
    assert queues.fingerprint(queues.queues(user)) != before
