from __future__ import annotations

import signal

import psutil
import pytest

from apps.deployments.models import Deployment
from apps.runs import services
from apps.runs.models import Artifact, Event, Metric, Run, Status
from apps.traces.models import Trace
from kos.config import Train
from tests.factories import make_artifact, make_run, make_version
from workers import tasks
from workers.pump import Limits, Pump

pytestmark = pytest.mark.django_db(transaction=True)

SHORT = Train(steps=3).model_dump(mode="json")
LONG = Train(steps=500).model_dump(mode="json")


def seqs(run):
    return list(Event.objects.filter(run=run).values_list("seq", flat=True))


def has_stepped(run):
    return lambda: Event.objects.filter(run=run, kind="step").count() >= 3


def children():
    return [
        child
        for child in psutil.Process().children()
        if "workers.child" in " ".join(child.cmdline())
    ]


def test_a_job_runs_to_its_end_and_leaves_its_rows(make_job):
    run = make_job("count", config=SHORT)
    tasks.execute(run.pk)
    run.refresh_from_db()
    assert (run.status, run.result["step"], run.attempts_left) == (Status.DONE, 3, 5)
    assert (
        run.progress["steps"] | {"done": 3, "total": 3, "unit": "steps"} == run.progress["steps"]
    )
    assert Artifact.objects.get().size_bytes == run.folder.joinpath("adapter.json").stat().st_size
    assert seqs(run) == list(range(1, run.last_seq + 1))


def test_what_the_job_prints_lies_in_the_attempts_log(make_job):
    run = make_job("count", config=SHORT)
    tasks.execute(run.pk)
    assert "a library says hello" in run.folder.joinpath("logs", "1.log").read_text()


def test_a_bell_that_rings_twice_is_harmless(make_job):
    run = make_job("count", config=SHORT)
    tasks.execute(run.pk)
    tasks.execute(run.pk)
    assert Run.objects.get(pk=run.pk).attempt == 1


def test_a_rollout_becomes_a_trace_and_travels_short(make_job):
    run = make_job("answer")
    tasks.execute(run.pk)
    assert len(Trace.objects.get().answer) == 501
    data = Event.objects.get(kind="rollout").data
    assert (len(data["answer"]), data["score"]) == (200, 0.5)
    assert "messages" not in data
    assert Event.objects.get(kind="step").data["metrics"] == {"loss": None, "kl": 0.5}


def test_the_numbers_of_a_step_become_rows(make_job):
    run = make_job("answer")
    tasks.execute(run.pk)
    rows = Metric.objects.filter(run=run).values_list("name", "step", "value").order_by("name")
    assert [*rows] == [("kl", 1, 0.5), ("loss", 1, None)]
    assert Metric.objects.first().at == Event.objects.get(kind="step").at


def test_no_text_of_a_restricted_dataset_is_in_the_events(make_job):
    run = make_job("answer", dataset=make_version(is_restricted=True))
    tasks.execute(run.pk)
    data = Event.objects.get(kind="rollout").data
    assert data["example_id"] == "one"
    assert not {"answer", "messages", "raw", "items"} & set(data)


def test_a_mistake_of_the_user_is_the_runs_error(make_job):
    run = make_job("refuse")
    tasks.execute(run.pk)
    run.refresh_from_db()
    assert (run.status, run.error) == (Status.FAILED, "the base has no tokenizer; pick another")


def test_an_input_that_is_gone_fails_with_a_sentence(make_job):
    run = make_job("count")
    run.inputs.create(name="base", artifact=make_artifact("base", name="old base"))
    tasks.execute(run.pk)
    run.refresh_from_db()
    assert run.status == Status.FAILED
    assert run.error.startswith("base (old base) is no longer at")


def test_an_evaluation_is_lent_the_corpus_of_the_tools(db, settings):
    run = make_run("evaluate")
    assert tasks.inputs_of(run) == {"corpus": settings.CORPUS}
    assert tasks.inputs_of(make_run("base")) == {}


def test_a_run_that_is_stopped_keeps_what_it_made(make_job, in_background, until):
    run = make_job("count", config=LONG)
    in_background(run)
    until(has_stepped(run))
    services.stop(run)
    until(lambda: Run.objects.get(pk=run.pk).is_ended)
    assert Run.objects.get(pk=run.pk).status == Status.CANCELLED
    assert run.folder.joinpath("checkpoint", "state.json").exists()


def test_a_deaf_job_is_killed_after_its_grace(make_job, in_background, until, monkeypatch):
    monkeypatch.setattr(tasks, "Limits", lambda **kept: Limits(grace_seconds=0.3, **kept))
    run = make_job("sulk")
    in_background(run)
    until(lambda: Event.objects.filter(run=run, kind="note").exists())
    services.stop(run)
    until(lambda: Run.objects.get(pk=run.pk).status == Status.CANCELLED)


def test_a_job_that_is_done_but_lingers_is_done(make_job, monkeypatch):
    monkeypatch.setattr(tasks, "Limits", lambda **kept: Limits(**kept | {"lease_seconds": 1}))
    run = make_job("linger")
    tasks.execute(run.pk)
    run.refresh_from_db()
    assert (run.status, run.result["score"], run.attempt) == (Status.DONE, 1.0, 1)


def test_a_run_past_its_time_limit_fails(make_job, monkeypatch):
    limits = {"grace_seconds": 0.1, "wall_seconds": 0.5}
    monkeypatch.setattr(tasks, "Limits", lambda **kept: Limits(**limits, **kept))
    run = make_job("sulk")
    tasks.execute(run.pk)
    assert Run.objects.get(pk=run.pk).error == "it ran past its limit of 0.5 seconds"


def test_a_worker_that_shuts_down_puts_its_run_back(make_job, in_background, until):
    run = make_job("count", config=LONG)
    thread = in_background(run)
    until(has_stepped(run))
    tasks.SHUTDOWN.set()
    thread.join(60)
    run.refresh_from_db()
    assert (run.status, run.attempts_left) == (Status.QUEUED, 5)


def test_a_process_that_is_killed_is_taken_up_again(make_job, in_background, until):
    run = make_job("count", config=Train(steps=40).model_dump(mode="json"))
    thread = in_background(run)
    until(has_stepped(run))
    children()[0].send_signal(signal.SIGKILL)
    thread.join(60)
    assert Run.objects.get(pk=run.pk).status == Status.LOST
    tasks.execute(run.pk)
    run.refresh_from_db()
    assert (run.status, run.attempt) == (Status.DONE, 2)
    assert "killed by SIGKILL" in Event.objects.get(kind="lost").data["reason"]
    assert seqs(run) == list(range(1, run.last_seq + 1))


def test_a_job_that_always_crashes_is_given_up(make_job):
    run = make_job("crash", attempts_left=2)
    tasks.execute(run.pk)
    tasks.execute(run.pk)
    run.refresh_from_db()
    assert run.status == Status.FAILED
    assert run.error.startswith("its process was killed by SIGSEGV; given up")


def test_an_attempt_that_was_fenced_off_ends_its_process(make_job, in_background, until):
    run = make_job("count", config=LONG)
    thread = in_background(run)
    until(has_stepped(run))
    Run.objects.filter(pk=run.pk).update(attempt=9)
    thread.join(60)
    assert children() == []


def test_a_server_is_ready_when_it_says_so_and_stops_as_cancelled(make_job, in_background, until):
    run = make_job("serve", kind="deploy")
    artifact = make_artifact("merged")
    artifact.location.mkdir(parents=True)
    run.inputs.create(name="model", artifact=artifact)
    in_background(run)
    until(lambda: Deployment.objects.filter(run=run, status="ready").exists())
    services.stop(run)
    until(lambda: Run.objects.get(pk=run.pk).status == Status.CANCELLED)


def test_a_database_that_goes_away_for_a_moment_costs_no_event(make_job, monkeypatch):
    failures = iter([True, False, True, False])
    keep = Pump._flush

    def flaky(pump):
        if next(failures, False):
            terminate_own_connection()
        keep(pump)

    monkeypatch.setattr(Pump, "_flush", flaky)
    run = make_job("count", config=SHORT)
    tasks.execute(run.pk)
    run.refresh_from_db()
    assert (run.status, Event.objects.filter(kind="step").count()) == (Status.DONE, 3)
    assert seqs(run) == list(range(1, run.last_seq + 1))


def terminate_own_connection():
    from django.db import OperationalError, connection

    try:
        with connection.cursor() as cursor:
            cursor.execute("select pg_terminate_backend(pg_backend_pid())")
    except OperationalError:
        pass
