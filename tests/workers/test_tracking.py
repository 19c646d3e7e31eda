"""A run and its trackers: the machinery with trackers that are slow, broken or absent."""

from __future__ import annotations

import json
import threading

import pytest
from django.db import transaction

from apps.runs import events
from apps.runs.models import Event, Run, Status
from apps.runs.page.lines import line_of
from kos import trackers
from kos.config import Train
from kos.events import Note, Result, StepDone, to_json
from kos.trackers import Link
from tests.factories import make_artifact, make_run, make_version
from workers import journal, tasks, tracking
from workers.lines import parse

pytestmark = pytest.mark.django_db(transaction=True)


class Book:
    """A tracker that writes down what it is told."""

    url = "http://tracker.example/runs/1"

    def __init__(self):
        self.starts, self.steps, self.ends = [], [], []

    def start(self, run):
        self.starts.append(run)
        return Link(run.id or "theirs-1", self.url)

    def log(self, step, metrics, at):
        self.steps.append((step, dict(metrics)))

    def finish(self, ending, summary):
        self.ends.append((ending, dict(summary)))


class Broken(Book):
    """One whose server is not there."""

    def log(self, step, metrics, at):
        raise ConnectionError("no route to http://ada:hunter2@tracker.example")


class Stuck(Book):
    """One that hangs in its first call until the test is over."""

    def __init__(self):
        super().__init__()
        self.release = threading.Event()

    def start(self, run):
        self.release.wait(60)
        return super().start(run)


@pytest.fixture
def use(monkeypatch, settings):
    """Let the only tracker be this one."""

    def choose(tracker):
        settings.TRACKERS = ["mlflow"]
        monkeypatch.setattr(trackers, "make", lambda name: tracker)
        return tracker

    monkeypatch.setattr(tracking, "FIRST_WAIT_SECONDS", 0.0)
    yield choose
    tracking.wait_for_all()


def lines(*events):
    return [parse(json.dumps({"at": 1000.0, "data": to_json(event)}).encode()) for event in events]


def steps(*numbers):
    return lines(*(StepDone(number, {"loss": 1 / number, "kl": None}) for number in numbers))


def tell(run, said, status=Status.DONE):
    """One attempt that says these lines and ends."""
    with tracking.of(run) as told:
        told.see(said)
        told.end(status)
    told.wait(60)


def texts(run):
    return [event.data["text"] for event in Event.objects.filter(run=run, kind="tracker")]


def test_every_step_and_the_closing_numbers_arrive(use):
    book = use(Book())
    run = make_run("train", tags=["nightly"], code_revision="abc")
    tell(run, steps(1, 2) + lines(Result({"score": 0.5, "answer": "Take it."})))
    assert book.steps == [(1, {"loss": 1.0}), (2, {"loss": 0.5})]
    assert book.ends == [("done", {"score": 0.5})]
    (start,) = book.starts
    assert (start.name, start.tags, start.project) == (run.name, ("nightly",), "kos")
    assert (start.facts["code_revision"], start.config["steps"]) == ("abc", run.config["steps"])


def test_the_run_s_log_names_the_tracker_s_page(use):
    use(Book())
    run = make_run("train")
    tell(run, steps(1))
    event = Event.objects.get(run=run, kind="tracker")
    assert event.data["url"] == Book.url
    assert line_of(event).text == f"mlflow has the numbers: {Book.url}"


def test_data_and_inputs_go_along_by_name_and_digest(use):
    book = use(Book())
    version, base = make_version(), make_artifact("base")
    run = make_run("train", dataset=version)
    run.inputs.create(name="base", artifact=base)
    tell(run, steps(1))
    facts = book.starts[0].facts
    assert facts["dataset"] == f"{version.dataset.name} version 1"
    assert facts["dataset_sha256"] == version.digest
    assert facts["input.base"] == f"{base.pk} sha256:{base.digest}"


def test_a_run_that_is_taken_up_again_goes_on_in_the_same_place(use):
    book = use(Book())
    run = make_run("train")
    tell(run, steps(1), Status.LOST)
    tell(run, steps(2))
    assert [start.id for start in book.starts] == ["", "theirs-1"]
    assert [ending for ending, _ in book.ends] == ["waiting", "done"]
    assert len(texts(run)) == 1


def test_a_tracker_that_cannot_be_reached_is_said_once_and_counted(use):
    use(Broken())
    run = make_run("train")
    tell(run, steps(1, 2, 3))
    assert texts(run)[1:] == [
        "mlflow: ConnectionError: no route to http://tracker.example; the run goes on without it",
        "3 steps could not be sent to mlflow",
    ]


def test_a_tracker_that_comes_to_itself_gets_what_waited(use):
    class Late(Book):
        def start(self, run):
            if not self.starts:
                self.starts.append(run)
                raise ConnectionError("not yet")
            return super().start(run)

    late = use(Late())
    run = make_run("train")
    tell(run, steps(1, 2))
    assert [step for step, _ in late.steps] == [1, 2]


def test_a_tracker_that_hangs_holds_nobody_up_and_what_finds_no_room_is_counted(use, monkeypatch):
    monkeypatch.setattr(tracking, "STEPS", 2)
    stuck = use(Stuck())
    run = make_run("train")
    with tracking.of(run) as told:
        told.see(steps(*range(1, 10)))  # returns, though the tracker does not
        told.end(Status.DONE)
    stuck.release.set()
    told.wait(60)
    assert len(stuck.steps) == 2
    assert texts(run)[-1] == "7 steps could not be sent to mlflow"


def test_a_name_that_is_no_tracker_is_said_in_the_run_s_log(settings):
    settings.TRACKERS = ["tensorboard"]
    run = make_run("train")
    tell(run, steps(1))
    assert texts(run) == [
        "tensorboard: KOS_TRACKERS names 'tensorboard'; there are mlflow, wandb, trackio; the run "
        "goes on without it",
        "1 step could not be sent to tensorboard",
    ]


def test_a_run_that_is_deleted_meanwhile_ends_the_thread_quietly(use):
    book = use(Stuck())
    run = make_run("train")
    with tracking.of(run) as told:
        told.see(steps(1))
        Run.objects.filter(pk=run.pk).delete()
        book.release.set()
    told.wait(60)
    assert f"mlflow of run {run.pk}" not in [thread.name for thread in threading.enumerate()]


def test_an_attempt_that_was_fenced_off_leaves_the_run_open_there(use):
    book = use(Book())
    with pytest.raises(ValueError, match="fenced"), tracking.of(make_run("train")) as told:
        told.see(steps(1))
        raise ValueError("fenced off")
    told.wait(60)
    assert book.ends == [("waiting", {})]


@pytest.mark.parametrize("kind", ["deploy", "remote"])
def test_a_server_is_not_tracked(use, kind):
    book = use(Book())
    tell(make_run(kind), steps(1))
    assert book.starts == []


def test_a_run_without_numbers_is_no_row_there(use):
    book = use(Book())
    tell(make_run("base"), lines(Note("hello")))
    assert book.starts == []


def test_a_job_s_numbers_go_all_the_way(make_job, use):
    book = use(Book())
    run = make_job("count", config=Train(steps=3).model_dump(mode="json"))
    tasks.execute(run.pk)
    tracking.wait_for_all()
    assert [step for step, _ in book.steps] == [1, 2, 3]


def test_the_journal_does_not_count_what_a_tracker_said(make_job, use):
    """A line that the log lost with its worker is said again, neither skipped nor doubled."""
    run = make_run("train", status="running", attempt=1)
    with transaction.atomic():
        events.say(events.lock(run.pk), "tracker", text="mlflow has the numbers")
    path = journal.path_of(run, 1)
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"at": 1.0, "data": {"kind": "note", "text": "unsaid"}}\n')
    run.attempt = 2
    assert len(journal.take_over(run)) == 1
