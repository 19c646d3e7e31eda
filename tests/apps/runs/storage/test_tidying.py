"""What goes by the rules, and above all what never does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.accounts.models import AuditEntry, Verb
from apps.deployments.models import Alias
from apps.reviews.models import Item, Queue
from apps.runs.models import Artifact, Event, Metric, Run, RunInput
from apps.runs.storage import stock, tidying
from apps.traces.models import Grade, Trace
from kos.errors import UserError
from tests.factories import make_artifact, make_deployment, make_run, make_trace

pytestmark = pytest.mark.django_db
OLD = timezone.now() - timedelta(days=100)


@pytest.fixture
def rules(settings):
    """Set rules: ``rules(checkpoints={"days": 14})``."""

    def put(**kinds):
        settings.RETENTION = kinds

    return put


def make_old_run(kind="train", **fields):
    """A run that was over long ago, with all that one leaves in its folder."""
    run = make_run(kind, **{"status": "done", "ended": OLD} | fields)
    for part in ("checkpoint", "tokens", "logs"):
        (run.folder / part).mkdir(parents=True)
        (run.folder / part / "file").write_bytes(bytes(1000))
    return run


def make_old_model(**fields):
    artifact = make_artifact("merged", size_bytes=10**9, **fields)
    artifact.location.mkdir(parents=True)
    Artifact.objects.filter(pk=artifact.pk).update(created=OLD)
    return artifact


def make_old_trace(**fields):
    trace = make_trace(run=fields.pop("run", None) or make_old_run(), **fields)
    Trace.objects.filter(pk=trace.pk).update(created=OLD)
    return trace


def going(kind):
    [store] = [store for store in tidying.stores() if store.kind.name == kind]
    return [one.candidate.name for one in store.going]


def test_without_rules_nothing_goes(artifacts):
    run = make_old_run()
    make_old_model(run=run)
    assert tidying.tidy(None) == []
    assert (run.folder / "checkpoint").exists()


def test_a_look_deletes_nothing_and_says_why(rules):
    rules(checkpoints={"days": 14})
    run = make_old_run()
    [store] = [one for one in tidying.stores() if one.going]
    assert (store.going[0].why, store.going_bytes) == ("over for 100 days, 14 are kept", 1000)
    assert (run.folder / "checkpoint").exists()


@pytest.mark.parametrize("kind", ["checkpoints", "tokens", "logs"])
def test_what_is_old_goes_and_the_rest_of_the_run_stays(rules, kind):
    rules(**{kind: {"days": 14}})
    run = make_old_run()
    [one] = tidying.tidy(None)
    assert (one.kind.name, one.num, one.size_bytes) == (kind, 1, 1000)
    assert len([*run.folder.iterdir()]) == 2


@pytest.mark.parametrize("status", ["failed", "cancelled", "running", "queued", "lost"])
def test_a_run_that_can_go_on_loses_nothing(rules, status):
    rules(checkpoints={"days": 14, "gb": 0}, events={"days": 14}, traces={"days": 14})
    run = make_old_run(status=status)
    Event.objects.create(run=run, seq=1, attempt=1, kind="step", data={}, at=OLD)
    make_old_trace(run=run)
    assert going("checkpoints") == going("events") == going("traces") == []


def test_a_stage_of_a_pipeline_that_can_go_on_loses_nothing(rules):
    rules(checkpoints={"days": 14})
    make_old_run(pipeline=make_run("pipeline", status="failed"))
    assert going("checkpoints") == []


def test_a_run_with_a_pinned_artifact_loses_nothing(rules):
    rules(checkpoints={"days": 14})
    make_artifact("adapter", run=make_old_run(), is_pinned=True)
    assert going("checkpoints") == []


def test_what_is_young_goes_only_for_a_budget_the_oldest_first(rules):
    rules(checkpoints={"gb": 0.0000015})
    young, old = make_old_run(ended=timezone.now()), make_old_run()
    assert going("checkpoints") == [f"{old.name} (run {old.pk})"]
    tidying.tidy(None)
    assert (young.folder / "checkpoint").exists()


def test_what_is_needed_stays_over_its_budget_and_it_is_said(rules):
    rules(checkpoints={"gb": 0})
    make_old_run(status="failed")
    [store] = [one for one in tidying.stores() if one.kind.name == "checkpoints"]
    assert (store.going, store.over_bytes) == ([], 1000)


def test_a_model_that_nothing_needs_goes_and_keeps_its_row(
    rules, django_capture_on_commit_callbacks
):
    rules(models={"days": 14})
    model = make_old_model()
    with django_capture_on_commit_callbacks(execute=True):
        tidying.tidy(None)
    model.refresh_from_db()
    assert model.freed is not None
    assert not model.location.exists()


def serve(model):
    make_deployment(artifact=model)


def name_by_an_alias(model):
    Alias.objects.create(name="kos", deployment=make_deployment(artifact=model, status="stopped"))


def pin(model):
    Artifact.objects.filter(pk=model.pk).update(is_pinned=True)


def review(model):
    run = make_run("evaluate", status="done")
    RunInput.objects.create(run=run, name="model", artifact=model)
    queue = Queue.objects.create(name="queue", rule={}, repeat_percent=0)
    Item.objects.create(queue=queue, trace=make_trace(run=run, origin="evaluation"), position=1)


def make_something_pinned_from(model):
    run = make_run("export", status="done")
    RunInput.objects.create(run=run, name="merged", artifact=model)
    make_artifact("quantised", run=run, is_pinned=True)


def work_on(model):
    RunInput.objects.create(run=make_run("export", status="running"), name="m", artifact=model)


@pytest.mark.parametrize(
    "need", [serve, name_by_an_alias, pin, review, make_something_pinned_from, work_on]
)
def test_a_model_that_is_needed_stays(rules, need):
    rules(models={"days": 14, "gb": 0})
    need(make_old_model())
    assert going("models") == []


@pytest.mark.parametrize("kind", ["base", "adapter", "report"])
def test_what_cannot_be_made_again_stays(rules, kind):
    rules(models={"days": 14, "gb": 0})
    artifact = make_artifact(kind, size_bytes=10)
    Artifact.objects.filter(pk=artifact.pk).update(created=OLD)
    assert going("models") == []


def test_old_answers_go_with_their_grades(rules):
    rules(traces={"days": 14})
    trace = make_old_trace()
    Grade.objects.create(trace=trace, position=0, key="k", text="t", points=1, grader="rule")
    young = make_trace(run=trace.run, example_id="young")
    assert [one.num for one in tidying.tidy(None)] == [1]
    assert [*Trace.objects.all()] == [young]


def flag(trace):
    trace.raised.create(kind="unsafe")


def queue_up(trace):
    queue = Queue.objects.create(name="queue", rule={}, repeat_percent=0)
    Item.objects.create(queue=queue, trace=trace, position=1)


def evaluate(trace):
    Trace.objects.filter(pk=trace.pk).update(origin="evaluation")


@pytest.mark.parametrize("cite", [flag, queue_up, evaluate])
def test_an_answer_that_is_cited_stays(rules, cite):
    rules(traces={"days": 14, "gb": 0})
    cite(make_old_trace())
    assert going("traces") == []


def test_an_answer_that_is_cited_at_the_last_moment_stays(rules):
    rules(traces={"days": 14})
    trace = make_old_trace()
    [store] = [one for one in tidying.stores() if one.going]
    flag(trace)
    assert store.going[0].candidate.delete() == 0
    assert Trace.objects.exists()


def test_of_what_a_run_said_its_beginning_and_end_stay(rules):
    rules(events={"days": 14}, metrics={"days": 14})
    run = make_old_run()
    for seq, kind in enumerate(("status", "step", "saved", "note", "result"), start=1):
        Event.objects.create(run=run, seq=seq, attempt=1, kind=kind, data={}, at=OLD)
    Metric.objects.create(run=run, name="loss", step=1, value=1.0, at=OLD)
    tidying.tidy(None)
    assert [event.kind for event in run.events.all()] == ["status", "saved", "result"]
    assert not Metric.objects.exists()


def test_of_a_long_log_of_the_console_the_end_stays(rules, settings, tmp_path):
    settings.VAR = tmp_path
    (tmp_path / "log").mkdir()
    log = tmp_path / "log/web.log"
    log.write_bytes(b"a line\n" * 300_000 + b"the end\n")
    rules(console_logs={"gb": 0})
    tidying.tidy(None)
    assert log.stat().st_size <= 2**20
    assert log.read_bytes().endswith(b"a line\nthe end\n")


def test_what_went_is_in_the_audit_log(rules, admin):
    rules(checkpoints={"days": 14})
    make_old_run()
    tidying.tidy(admin.user)
    entry = AuditEntry.objects.get(verb=Verb.STORAGE_TIDIED)
    assert (entry.username, entry.title, entry.after) == (
        "admin",
        "Checkpoints",
        {"num": 1, "bytes": 1000},
    )


def test_the_rest_waits_when_time_is_up(rules):
    rules(checkpoints={"days": 14})
    make_old_run()
    [one] = tidying.tidy(None, seconds=0)
    assert (one.num, one.num_left) == (0, 1)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"chats": {"days": 1}}, "names 'chats', which is no kind; there are"),
        ({"traces": {"days": -1}}, "wrong at traces.days"),
        ({"traces": {"weeks": 1}}, "wrong at traces.weeks"),
        ({"traces": 3}, "wrong at traces"),
    ],
)
def test_rules_that_are_none_are_named(rules, wrong, said):
    rules(**wrong)
    with pytest.raises(UserError, match=said):
        tidying.stores()
    with pytest.raises(CommandError, match=said):
        call_command("tidy", "--dry-run")


def test_the_command_says_what_would_go_and_then_what_went(rules, capsys):
    rules(checkpoints={"days": 14})
    run = make_old_run()
    call_command("tidy", "--dry-run")
    assert (
        f"would go {run.name} (run {run.pk}), 1000 bytes: over for 100" in capsys.readouterr().out
    )
    assert (run.folder / "checkpoint").exists()
    call_command("tidy")
    assert "1 deleted, 1000 bytes given back" in capsys.readouterr().out


def test_every_kind_says_what_there_is(artifacts):
    make_old_trace()
    assert {name: kind.total().num for name, kind in stock.KINDS.items()}["checkpoints"] == 1
    assert Run.objects.exists()
