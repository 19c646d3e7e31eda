from __future__ import annotations

import pytest
from django.urls import reverse

from apps.runs import events, services
from apps.runs.models import Run, Status
from tests.factories import make_artifact, make_run, make_version

TABS = ("detail", "metrics", "log", "config", "artifacts")
PLAIN = ("list", "choose", "models")
HTMX = {"HX-Request": "true"}


@pytest.fixture
def run(engineer) -> Run:
    return services.launch(engineer.user, "base", {}, name="a base")


@pytest.fixture
def pipeline(engineer) -> Run:
    given = {"inputs": {"base": make_artifact()}, "dataset": make_version()}
    return services.launch(engineer.user, "pipeline", {}, name="the way", **given)


@pytest.fixture
def paths(run) -> list[str]:
    artifact = make_artifact()
    return [
        *(reverse(f"runs:{tab}", args=[run.pk]) for tab in TABS),
        *(reverse(f"runs:{page}") for page in PLAIN),
        reverse("runs:new", args=["train"]),
        reverse("runs:model", args=[artifact.pk]),
    ]


def test_every_page_opens_for_an_engineer(engineer, paths):
    assert [engineer.get(path).status_code for path in paths] == [200] * len(paths)


def test_a_stranger_is_sent_to_sign_in(stranger, paths):
    assert all("/sign-in/" in stranger.get(path).headers["Location"] for path in paths)


def test_other_roles_get_403(clinician, reviewer, paths):
    assert {clinician.get(path).status_code for path in paths} == {403}
    assert {reviewer.get(path).status_code for path in paths} == {403}


def test_pages_take_no_post(engineer, paths):
    read_only = [path for path in paths if "/new/train" not in path]
    assert {engineer.post(path).status_code for path in read_only} == {405}


@pytest.mark.parametrize("action", ["stop", "resume"])
def test_actions_take_only_a_post(engineer, run, action):
    assert engineer.get(reverse(f"runs:{action}", args=[run.pk])).status_code == 405


def test_an_unknown_run_is_404(engineer):
    assert engineer.get("/runs/12345/").status_code == 404
    assert engineer.get("/models/12345/").status_code == 404


def test_a_waiting_run_is_stopped_and_resumed_from_its_page(engineer, run):
    engineer.post(reverse("runs:stop", args=[run.pk]))
    run.refresh_from_db()
    assert run.status == Status.CANCELLED
    engineer.post(reverse("runs:resume", args=[run.pk]))
    run.refresh_from_db()
    assert run.status == Status.QUEUED


def test_the_list_keeps_stages_with_their_pipeline(engineer, pipeline):
    page = engineer.get("/runs/")
    assert [row.pk for row in page.context["rows"]] == [pipeline.pk, make_base(pipeline).pk]
    assert len(engineer.get("/runs/", {"stages": "1"}).context["rows"]) == 3


def make_base(pipeline: Run) -> Run:
    return pipeline.inputs.get().artifact.run


def test_the_list_is_filtered_by_status_and_kind(engineer, run):
    failed = make_run("base", status="failed")
    found = engineer.get("/runs/", {"status": "failed", "kind": "base"}).context["rows"]
    assert [row.pk for row in found] == [failed.pk]
    assert not engineer.get("/runs/", {"kind": "train"}).context["rows"]


def test_a_pipelines_page_shows_its_stages(engineer, pipeline):
    page = engineer.get(reverse("runs:detail", args=[pipeline.pk])).content.decode()
    assert "Warm start" in page
    assert reverse("runs:detail", args=[pipeline.stages.get().pk]) in page


@pytest.mark.parametrize("part", ["head", "stages"])
def test_htmx_gets_a_part_alone(engineer, pipeline, part):
    path = reverse("runs:detail", args=[pipeline.pk])
    page = engineer.get(path, {"fragment": part}, headers=HTMX).content.decode()
    assert "<html" not in page
    assert "hx-trigger" in page


def test_the_log_goes_on_after_the_last_line_seen(engineer, run):
    held = services.claim(run.pk, "w", lease_seconds=60)
    note = events.NewEvent("note", {"text": "loading"}, held.started)
    events.append(run.pk, held.attempt, [note], lease_seconds=60)
    run.refresh_from_db()
    path = reverse("runs:log", args=[run.pk])
    fresh = engineer.get(path, {"after": run.last_seq - 1}, headers=HTMX)
    assert [line.text for line in fresh.context["lines"]] == ["loading"]
    assert f"after={run.last_seq}" in fresh.content.decode()


def test_a_failed_run_says_why_and_what_can_be_done(engineer):
    run = make_run(status="failed", error="disk full")
    page = engineer.get(reverse("runs:detail", args=[run.pk])).content.decode()
    assert "disk full" in page
    assert "Resume" in page
