from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.audit import note
from apps.accounts.models import Verb
from apps.runs.models import Run
from apps.traces.models import TraceFlag
from kosweb import attention, house
from kosweb.home import stamp_of
from tests.factories import (
    make_artifact,
    make_conversation,
    make_deployment,
    make_run,
    make_trace,
)


def test_an_engineer_sees_what_runs_and_what_failed(engineer):
    make_run(name="at work", status="running")
    make_run(name="in trouble", status="failed", error="no disk", ended="2126-01-01T00:00Z")
    page = engineer.get("/").content.decode()
    assert "at work" in page
    assert "no disk" in page


def test_an_empty_console_says_how_to_begin(engineer):
    assert b"Load the sample set" in engineer.get("/").content


def test_a_run_that_nobody_heard_of_for_minutes_needs_attention(engineer):
    run = make_run("train", name="quiet one", status="running")
    Run.objects.filter(pk=run.pk).update(touched=timezone.now() - timedelta(minutes=5))
    needs = attention.for_engineer(engineer.user)
    assert [(need.sort, need.title) for need in needs] == [("silent", "quiet one")]


def test_a_model_that_answers_unmeasured_needs_attention(engineer):
    make_deployment(name="unmeasured")
    assert ("stale", "unmeasured") in [need[:2] for need in attention.for_engineer(engineer.user)]


def test_an_evaluated_model_needs_none(engineer):
    deployment = make_deployment()
    run = make_run("evaluate", status="done")
    run.inputs.create(name="base", artifact=deployment.artifact)
    assert attention.for_engineer(engineer.user) == []


def test_a_full_disk_comes_first(engineer, monkeypatch):
    make_run(name="broke", status="failed", error="x", ended=timezone.now())
    monkeypatch.setattr(house, "disk", lambda: house.Disk(96, "4 GB", "100 GB"))
    assert [need.sort for need in attention.for_engineer(engineer.user)] == ["disk", "failed"]


def test_a_reviewer_sees_flagged_answers_and_no_runs(reviewer):
    trace = make_trace(example_id="odd-one")
    TraceFlag.objects.create(trace=trace, kind="unsafe", by=reviewer.user)
    page = reviewer.get("/").content.decode()
    assert "odd-one" in page
    assert "△ unsafe" in page
    assert "Running now" not in page


def test_a_clinician_gets_the_composer_and_own_conversations_alone(clinician):
    make_conversation(owner=clinician.user, title="My question")
    make_conversation(title="Another's question")
    page = clinician.get("/").content.decode()
    assert 'id="composer-text"' in page
    assert "My question" in page
    assert "Another&#x27;s" not in page


def test_without_a_model_a_clinician_is_told_whom_to_ask(clinician):
    assert b"Ask an engineer to deploy one" in clinician.get("/").content


def test_a_stranger_is_sent_to_sign_in(stranger, db):
    assert stranger.get("/").headers["Location"] == "/sign-in/?next=/"


def test_home_takes_no_post(engineer):
    assert engineer.post("/").status_code == 405


def test_cards_that_did_not_change_are_not_sent_again(engineer):
    stamp = stamp_of(engineer.user)
    same = engineer.get(f"/?stamp={stamp}", headers={"HX-Request": "true"})
    make_run(name="brand new", status="running")
    other = engineer.get(f"/?stamp={stamp}", headers={"HX-Request": "true"})
    assert same.status_code == 204
    assert b"brand new" in other.content


def test_asking_for_changes_costs_a_handful_of_queries(engineer, django_assert_max_num_queries):
    stamp = stamp_of(engineer.user)
    with django_assert_max_num_queries(8):
        engineer.get(f"/?stamp={stamp}", headers={"HX-Request": "true"})


def test_more_runs_mean_no_more_queries(engineer, django_assert_max_num_queries):
    for number in range(5):
        make_run("train", status="running", name=f"run {number}")
        make_run("train", status="failed", ended=timezone.now())
        make_deployment()
    with django_assert_max_num_queries(34):
        engineer.get("/")


def test_an_admin_sees_how_the_house_does(admin):
    make_artifact("merged", size_bytes=5_000_000)
    note(None, Verb.SIGN_IN_FAILED, "ada")
    page = admin.get("/?house=1", headers={"HX-Request": "true"}).content.decode()
    for words in ("Database", "Broker", "Workers", "4.8\xa0MB", "Sign-in failed"):
        assert words in page, words


@pytest.mark.parametrize("role", ["engineer", "reviewer", "clinician"])
def test_only_admins_see_the_house(request, role):
    browser = request.getfixturevalue(role)
    page = browser.get("/?house=1", headers={"HX-Request": "true"}).content
    assert b"Security lately" not in page
