from __future__ import annotations

import pytest
from django.urls import reverse

from apps.runs import events, services
from apps.runs.models import Run, Status
from tests.apps.runs.test_forms import train
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
    assert [run.pk for run, _ in page.context["rows"]] == [pipeline.pk, make_base(pipeline).pk]
    assert len(engineer.get("/runs/", {"stages": "1"}).context["rows"]) == 3


def make_base(pipeline: Run) -> Run:
    return pipeline.inputs.get().artifact.run


def test_the_list_is_filtered_by_status_and_kind(engineer, run):
    make_run("base", status="failed")
    found = engineer.get("/runs/", {"status": "failed", "kind": "base"}).context["rows"]
    assert [row.status for row, _ in found] == ["failed"]
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


def test_the_form_starts_a_run(engineer):
    data = train(steps="3").data | {"run-seed": "7", "run-name": "short"}
    data |= {"run-base": make_artifact().pk, "run-dataset": make_version().pk}
    response = engineer.post(reverse("runs:new", args=["train"]), data)
    run = Run.objects.get(name="short")
    assert response.headers["Location"] == reverse("runs:detail", args=[run.pk])
    assert (run.config["steps"], run.seed) == (3, 7)


def test_a_wrong_form_starts_nothing_and_names_every_fault(engineer):
    data = train(steps="0", lora_in_rank="0").data | {"run-seed": "7"}
    page = engineer.post(reverse("runs:new", args=["train"]), data)
    assert page.status_code == 400
    assert len(page.context["problems"]) == 4
    assert not Run.objects.filter(kind="train").exists()


def test_the_preview_is_the_call_that_would_do_it(engineer):
    data = train(steps="3").data | {"run-seed": "0", "run-base": make_artifact().pk}
    data["run-dataset"] = make_version().pk
    page = engineer.post(reverse("runs:preview", args=["train"]), data)
    assert '"config": {\n    "steps": 3\n  }' in page.context["call"]


def test_a_menu_reloads_its_knobs(engineer):
    path = reverse("runs:part", args=["base", "source"])
    page = engineer.get(path, {"source-kind": "folder"}).content.decode()
    assert 'name="source-path"' in page
    assert engineer.get(path, {"source-kind": "nothing"}).status_code == 404


def test_a_clone_starts_from_the_knobs_of_its_run(engineer):
    config = train(steps="77")
    assert config.is_valid()
    run = make_run("train", config=config.config.model_dump(mode="json"))
    page = engineer.get(reverse("runs:new", args=["train"]), {"clone": run.pk})
    assert page.context["form"]["steps"].value() == 77


def test_the_url_can_choose_an_input(engineer):
    older, _newer = make_artifact(), make_artifact()
    page = engineer.get(reverse("runs:new", args=["train"]), {"base": older.pk})
    assert f'<option value="{older.pk}" selected>' in page.content.decode()


def test_an_unknown_kind_is_404(engineer):
    assert engineer.get("/runs/new/magic/").status_code == 404
