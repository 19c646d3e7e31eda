"""What people do in each room reaches the audit log, by page or by token, with who did it."""

from __future__ import annotations

import pytest

from apps.accounts.models import AuditEntry
from apps.accounts.services import create_token
from apps.automation import webhooks
from apps.datasets.services import load_sample
from apps.deployments import aliases
from apps.evals import services as evals
from apps.runs.artifacts import disposal
from apps.traces.models import Grade
from tests.factories import make_artifact, make_deployment, make_run, make_trace


def deed(verb: str) -> tuple[str, str]:
    """Who did it, to what kind of thing; exactly once."""
    entry = AuditEntry.objects.get(verb=verb)
    return entry.username, entry.kind


def test_a_run_that_is_started_and_stopped(engineer):
    words = {"kind": "base", "config": {"source": {"kind": "folder", "path": "/nowhere"}}}
    text = create_token(engineer.user, "t").text
    sent = {"Authorization": f"Bearer {text}"}
    answer = engineer.post("/api/runs/", words, content_type="application/json", headers=sent)
    assert answer.status_code in (201, 202), answer.content
    engineer.post(f"/runs/{answer.json()['id']}/stop/")
    assert deed("run_launched") == ("engineer", "run")
    assert deed("run_stopped") == ("engineer", "run")


def test_stopping_what_has_ended_is_no_deed(engineer):
    engineer.post(f"/runs/{make_run(status='done').pk}/stop/")
    assert not AuditEntry.objects.filter(verb="run_stopped").exists()


def test_a_promotion_names_what_answered_before(engineer):
    first, second = make_deployment(name="one"), make_deployment(name="two")
    aliases.promote("kos", first, by=engineer.user, reason="")
    aliases.promote("kos", second, by=engineer.user, reason="better")
    entry = AuditEntry.objects.filter(verb="deployment_promoted").first()
    assert entry.before == {"deployment": f"one@{first.pk}"}
    assert entry.after == {"deployment": f"two@{second.pk}", "reason": "better"}


def test_a_roll_back(engineer):
    for name in ("one", "two"):
        alias = aliases.promote("kos", make_deployment(name=name), by=engineer.user, reason="")
    aliases.roll_back(alias, by=engineer.user, reason="worse")
    assert deed("deployment_rolled_back") == ("engineer", "alias")


def test_an_overridden_grade(reviewer):
    grade = Grade.objects.create(
        trace=make_trace(), position=0, key="k", text="t", points=1, met=True, grader="rules"
    )
    evals.override(grade, False, reviewer.user, "no dose is given")
    entry = AuditEntry.objects.get(verb="grade_overridden")
    assert (entry.before, entry.after["met"]) == ({"met": True}, False)


def test_a_deleted_model(engineer):
    disposal.free(make_artifact("merged"), engineer.user)
    assert deed("model_deleted") == ("engineer", "artifact")


def test_a_published_dataset(db):
    load_sample()
    assert deed("dataset_published")[1] == "datasetversion"


@pytest.mark.parametrize("act", ["change", "rotate", "delete"])
def test_a_webhook_is_named_by_its_host_alone(engineer, settings, act):
    settings.WEBHOOK_HOSTS = frozenset({"hooks.example:443"})
    hook, secret = webhooks.create(engineer.user, "https://hooks.example/T0/secretpath")
    getattr(webhooks, act)(hook)
    told = [str(entry.__dict__) for entry in AuditEntry.objects.all()]
    assert len(told) == 2
    assert "hooks.example" in told[0]
    assert not any("secretpath" in one or secret in one for one in told)
