from __future__ import annotations

import pytest

from apps.runs import events, presets, services
from apps.runs.models import Run
from tests.factories import make_artifact, make_run, make_version

pytestmark = pytest.mark.django_db


def test_a_program_starts_a_run(api, engineer):
    body = {"kind": "export", "config": {"format": {"kind": "nvfp4"}}, "seed": 3, "name": "x"}
    body |= {"inputs": {"model": make_artifact("merged").pk}, "dataset": make_version().pk}
    response = api("post", "/api/runs/", body)
    assert response.status_code == 201, response.json()
    run = Run.objects.get(pk=response.json()["id"])
    assert (run.owner, run.kind, run.seed, run.dataset_id) == (
        engineer.user,
        "export",
        3,
        body["dataset"],
    )
    assert response.json()["inputs"] == body["inputs"]


def test_a_preset_gives_kind_and_knobs(api, monkeypatch):
    quick = presets.Preset("base", "Quick", "", {"source": {"kind": "smollm2"}})
    monkeypatch.setitem(presets.PRESETS, "quick", quick)
    response = api("post", "/api/runs/", {"preset": "quick"})
    assert (response.status_code, response.json()["kind"]) == (201, "base")


def test_a_wrong_knob_is_a_422_at_its_place(api):
    response = api("post", "/api/runs/", {"kind": "base", "config": {"sauce": 1}})
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["body", "config", "sauce"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"kind": "bake"}, "kind is 'bake'; there are base, synthesise"),
        ({"preset": "none such"}, "there is no preset 'none such'"),
        ({"kind": "sft", "inputs": {"base": 999999}}, "base: there is no artifact 999999"),
        ({"kind": "sft"}, "sft needs base: The model to start from."),
    ],
)
def test_what_cannot_start_is_a_409_with_a_sentence(api, body, says):
    response = api("post", "/api/runs/", body)
    assert response.status_code == 409
    assert says in response.json()["detail"]


def test_the_list_is_filtered_and_paged(api):
    runs = [make_run(status="done") for _ in range(3)]
    make_run(status="failed")
    page = api("get", "/api/runs/?status=done&limit=2").json()
    assert [item["id"] for item in page["items"]] == [runs[2].pk, runs[1].pk]
    rest = api("get", f"/api/runs/?status=done&limit=2&cursor={page['next']}").json()
    assert ([item["id"] for item in rest["items"]], rest["next"]) == ([runs[0].pk], None)


def test_events_come_after_the_one_that_was_seen(api):
    run = make_run(status="running", attempt=1)
    events.append(run.pk, 1, [events.new("note", text=str(n)) for n in range(3)], lease_seconds=9)
    rows = api("get", f"/api/runs/{run.pk}/events?after=1&limit=1").json()
    assert [(row["seq"], row["data"]["text"]) for row in rows["items"]] == [(2, "1")]


def test_a_run_is_stopped_and_resumed(api):
    run = make_run()
    assert api("post", f"/api/runs/{run.pk}/stop").json()["status"] == "cancelled"
    assert api("post", f"/api/runs/{run.pk}/resume").json()["status"] == "queued"


def test_a_run_that_is_done_is_not_resumed(api):
    run = make_run(status="done")
    response = api("post", f"/api/runs/{run.pk}/resume")
    assert (response.status_code, Run.objects.get(pk=run.pk).status) == (409, "done")


def test_a_pipelines_artifacts_are_those_of_its_stages(api):
    pipeline = make_run("pipeline", status="running")
    stage = make_run("merge", pipeline=pipeline, stage="merge")
    services.keep_artifact(stage, "merged", "merged", digest="abc", size_bytes=5)
    rows = api("get", f"/api/runs/{pipeline.pk}/artifacts").json()["items"]
    assert [(row["kind"], row["run"], row["digest"]) for row in rows] == [
        ("merged", stage.pk, "abc")
    ]


def test_a_clinician_may_not(clinician):
    assert clinician.get("/api/runs/").status_code == 403


def test_a_stranger_may_not(stranger):
    assert stranger.get("/api/runs/").status_code == 401
