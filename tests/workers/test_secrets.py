"""A key that a run's configuration names reaches its job, and nothing else."""

from __future__ import annotations

import pytest

from apps.runs.models import Event, Run, Status
from apps.tools import services
from workers import tasks
from workers.child import PipedJob, Spec

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "judge-secret-key-0042"


@pytest.fixture
def run(make_job):
    services.set_key("judge", SECRET, by=None)
    services.set_key("brave", "a-key-that-was-not-asked-for", by=None)
    run = make_job("use_secret")
    run.config |= {"grader": {"kind": "judge", "key": "judge"}}
    return run


def test_a_job_is_handed_the_keys_that_its_config_names(run):
    assert tasks.spec_of(run).secrets == {"judge": SECRET}


def test_a_spec_and_a_job_do_not_show_their_secrets(run, tmp_path):
    spec = tasks.spec_of(run)
    assert SECRET not in repr(spec)
    assert SECRET not in repr(PipedJob(tmp_path, {}, 0, (), secrets=spec.secrets))
    assert SECRET in Spec.model_validate_json(spec.model_dump_json()).secrets["judge"]


def test_a_secret_is_in_no_event_no_log_and_no_stored_config(make_job, monkeypatch):
    services.set_key("judge", SECRET, by=None)
    monkeypatch.setattr(tasks, "secrets_for", lambda config, user: services.keys_of(None))
    run = make_job("use_secret")
    tasks.execute(run.pk)
    run = Run.objects.get(pk=run.pk)
    assert (run.status, run.result) == (Status.DONE, {"length": len(SECRET)})
    rows = [str(event) for event in Event.objects.filter(run=run).values()]
    logs = [path.read_text() for path in run.folder.rglob("*") if path.is_file()]
    assert not any(SECRET in text for text in [*rows, *logs, str(run.config), str(run.result)])


def test_a_job_without_its_key_ends_with_a_sentence(make_job):
    run = make_job("use_secret")
    tasks.execute(run.pk)
    run = Run.objects.get(pk=run.pk)
    assert run.status == Status.FAILED
    assert "There is no key called 'judge'" in run.error
