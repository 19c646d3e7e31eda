from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from pydantic import ValidationError

from apps.runs import queue, services
from apps.runs.models import Artifact, Event, Run, Status
from apps.runs.operations import workers
from kos.config import Merge
from kos.errors import UserError
from tests.factories import make_artifact, make_run, make_user, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def rung(monkeypatch):
    """The ids and queues the doorbell was rung for, as if each transaction were in."""
    bells = []
    monkeypatch.setattr(queue, "_send", lambda run_id, name: bells.append((run_id, name)))
    monkeypatch.setattr(transaction, "on_commit", lambda call: call())
    return bells


def claim(run):
    return services.claim(run.pk, "worker", lease_seconds=60)


def let_lapse(run):
    Run.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def statuses(run):
    return list(run.events.filter(kind="status").values_list("data__status", flat=True))


def test_a_launched_run_keeps_its_config_and_rings_its_queue(rung):
    run = services.launch(make_user(), "base", {}, seed=7)
    assert (run.status, run.seed, run.config["source"]["kind"]) == ("queued", 7, "smollm2")
    assert rung == [(run.pk, "cpu")]


def test_inputs_become_the_lineage():
    base, adapter = make_artifact("base"), make_artifact("adapter")
    run = services.launch(make_user(), "merge", Merge(), inputs={"base": base, "adapter": adapter})
    assert {item.name: item.artifact for item in run.inputs.all()} == {
        "base": base,
        "adapter": adapter,
    }


def test_a_missing_input_is_named():
    with pytest.raises(UserError, match="train needs dataset: Prompts of its training split"):
        services.launch(make_user(), "train", {}, inputs={"base": make_artifact("base")})


def test_an_artifact_of_another_kind_is_refused():
    inputs = {"base": make_artifact("base"), "adapter": make_artifact("quantised")}
    with pytest.raises(UserError, match=r"adapter is a quantised artifact .* pick adapter"):
        services.launch(make_user(), "merge", {}, inputs=inputs)


def test_an_input_the_job_does_not_take_is_refused():
    with pytest.raises(UserError, match="base does not take dataset"):
        services.launch(make_user(), "base", {}, dataset=make_version())


def test_a_wrong_knob_is_an_error_on_its_field():
    with pytest.raises(ValidationError, match="stepz"):
        services.launch(make_user(), "train", {"stepz": 3})


def test_an_unknown_kind_names_the_known_ones():
    with pytest.raises(UserError, match="called 'trian'; there are base, synthesise, sft"):
        services.launch(make_user(), "trian", {})


def test_a_waiting_run_is_cancelled_at_once():
    run = make_run()
    services.stop(run)
    assert Run.objects.get().status == Status.CANCELLED
    assert claim(run) is None


def test_a_running_run_is_asked_to_stop():
    run = claim(make_run())
    services.stop(run)
    assert Run.objects.get().status == Status.STOPPING
    services.finish(run.pk, run.attempt, Status.CANCELLED)
    assert statuses(run) == ["running", "stopping", "cancelled"]


def test_stopping_a_finished_run_leaves_it_alone():
    run = make_run(status="done")
    services.stop(run)
    assert Run.objects.get().status == Status.DONE


def test_a_run_whose_lease_lapsed_is_lost_and_found(rung):
    run = claim(make_run())
    let_lapse(run)
    assert services.lose(run.pk)
    assert Run.objects.get().status == Status.LOST
    assert rung[-1] == (run.pk, "cpu")
    assert claim(run).attempt == 2
    kinds = list(run.events.values_list("kind", flat=True))
    assert kinds == ["status", "lost", "status", "status"]


def test_a_run_that_spoke_in_time_is_not_lost():
    run = claim(make_run())
    assert services.lapsed() == []
    assert not services.lose(run.pk)


def test_a_lost_run_that_was_to_be_stopped_is_cancelled():
    run = claim(make_run())
    services.stop(run)
    let_lapse(run)
    services.lose(run.pk)
    assert Run.objects.get().status == Status.CANCELLED


def test_a_run_lost_too_often_fails():
    run = make_run(attempts_left=1)
    claim(run)
    let_lapse(run)
    services.lose(run.pk)
    run.refresh_from_db()
    assert run.status == Status.FAILED
    assert "given up after 5 attempts" in run.error


def test_a_checkpoint_gives_the_attempts_back():
    run = claim(make_run(attempts_left=2))
    services.note_checkpoint(run)
    assert Run.objects.get().attempts_left == services.ATTEMPTS


def test_a_run_put_back_by_its_worker_keeps_its_attempts():
    run = claim(make_run())
    services.finish(run.pk, run.attempt, Status.QUEUED)
    assert (Run.objects.get().status, Run.objects.get().attempts_left) == ("queued", 5)


def test_a_failed_run_is_resumed_as_its_next_attempt():
    run = claim(make_run())
    services.finish(run.pk, run.attempt, Status.FAILED, error="no room")
    assert Run.objects.get().ended is not None
    services.resume(run)
    assert (Run.objects.get().error, Run.objects.get().ended) == ("", None)
    assert claim(run).attempt == 2


def let_wait():
    Run.objects.update(touched=timezone.now() - timedelta(seconds=40))


def beat(name, queue, slots=1):
    workers.beat(name, host="h", pid=1, queues=[queue], device="cpu", slots=slots)


def test_a_forgotten_run_is_rung_for_again(rung):
    run = make_run()
    beat("w", "cpu")
    assert services.ring_again() == 0
    let_wait()
    assert services.ring_again() == 1
    assert services.ring_again() == 0
    assert rung == [(run.pk, "cpu")]


def test_no_bell_is_rung_where_every_worker_is_busy(rung):
    beat("worker", "cpu")
    beat("other", "gpu")
    claim(make_run())
    make_run()
    let_wait()
    assert (services.ring_again(), rung) == (0, [])


def test_as_many_are_rung_for_as_workers_are_free_the_first_first(rung):
    beat("w", "cpu", slots=2)
    runs = [make_run(), make_run(), make_run(priority=5)]
    let_wait()
    assert services.ring_again() == 2
    assert {pk for pk, _ in rung} == {runs[2].pk, runs[0].pk}


def test_an_artifact_made_again_replaces_its_row():
    run = make_run()
    for digest in ("a", "b"):
        services.keep_artifact(run, "adapter", "adapter", digest=digest, size_bytes=1)
    assert Artifact.objects.get().digest == "b"
    assert Artifact.objects.get().location == run.folder / "adapter"


def test_an_artifact_stays_below_its_runs_folder():
    with pytest.raises(UserError, match="below its run's folder"):
        services.keep_artifact(make_run(), "base", "../1/base", digest="a", size_bytes=1)


def test_every_change_of_status_is_said(rung):
    run = services.launch(make_user(), "base", {})
    claim(run)
    services.finish(run.pk, 1, Status.DONE)
    assert statuses(run) == ["queued", "running", "done"]
    assert list(Event.objects.values_list("seq", flat=True)) == [1, 2, 3]


def test_what_an_engine_cannot_do_is_refused_before_a_run_is_queued(db):
    config = {"engine": {"kind": "tinker"}, "sampling": {"temperature": 0.7}}
    with pytest.raises(UserError, match="which the engine tinker cannot"):
        services.launch(make_user(), "train", config)
    assert not Run.objects.exists()
