"""What a program can do with runs and models beyond starting, stopping and reading them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from apps.runs import events, services
from apps.runs.artifacts import ranges
from apps.runs.figures import metrics
from apps.runs.models import Artifact, Run, RunInput
from tests.factories import make_artifact, make_run, make_user, make_version

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_what_people_write_on_a_run_is_changed_in_one_call(api):
    run = make_run(status="done")
    body = {"name": "good one", "notes": "keep", "tags": ["Night", "kos1"], "is_archived": True}
    reply = api("patch", f"/api/runs/{run.pk}", body).json()
    assert {name: reply[name] for name in body} == body | {"tags": ["night", "kos1"]}


def test_tags_left_out_of_the_list_go(api):
    run = make_run(tags=["old", "kept"])
    reply = api("patch", f"/api/runs/{run.pk}", {"tags": ["kept", "new"]})
    assert reply.json()["tags"] == ["kept", "new"]


def test_a_change_of_what_somebody_changed_meanwhile_is_refused(engineer):
    run = make_run()
    url = f"/api/runs/{run.pk}"
    etag = engineer.get(url)["ETag"]
    send = {"content_type": "application/json", "headers": {"If-Match": etag}}
    first = engineer.patch(url, {"notes": "mine"}, **send)
    second = engineer.patch(url, {"notes": "yours"}, **send)
    assert (first.status_code, second.status_code) == (200, 412)
    assert Run.objects.get().notes == "mine"
    assert first["ETag"] == engineer.get(url)["ETag"] != etag


def test_many_runs_are_changed_at_once(api):
    runs = [make_run() for _ in range(3)]
    body = {"action": "tag", "runs": [run.pk for run in runs] + [999999], "tags": ["night"]}
    assert api("post", "/api/runs/bulk", body).json() == {"changed": 3, "missing": [999999]}
    body = {"action": "stop", "runs": [run.pk for run in runs]}
    assert api("post", "/api/runs/bulk", body).json()["changed"] == 3


def test_a_start_is_checked_without_starting(api, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as rung:
        reply = api("post", "/api/runs/validate", {"kind": "base"})
    assert (reply.status_code, reply.json()["kind"]) == (200, "base")
    assert reply.json()["config"]["source"]
    assert not Run.objects.exists()
    assert not rung


def test_a_start_that_would_not_do_is_told_beforehand(api):
    wrong = {"kind": "base", "config": {"sauce": 1}}
    assert api("post", "/api/runs/validate", wrong).status_code == 422
    assert api("post", "/api/runs/validate", {"kind": "sft"}).status_code == 409


def test_a_training_is_estimated_in_words_and_dollars(api):
    body = {
        "kind": "train",
        "dataset": make_version().pk,
        "inputs": {"base": make_artifact("base").pk},
        "prices": {"prefill": 1, "sampled": 2, "trained": 3},
    }
    reply = api("post", "/api/runs/validate", body)
    assert reply.status_code == 200, reply.json()
    assert "$" in " ".join(reply.json()["estimate"])


def test_a_run_is_repeated_with_other_knobs(api):
    run = services.launch(make_user(), "base", {"source": {"kind": "smollm2"}}, name="first")
    reply = api("post", f"/api/runs/{run.pk}/clone", {"name": "second", "seed": 9})
    assert reply.status_code == 201, reply.json()
    made = Run.objects.get(name="second")
    assert (made.config, made.seed, made.kind) == (run.config, 9, "base")


def test_every_kind_of_job_is_described(api):
    kinds = {one["kind"]: one for one in api("get", "/api/runs/kinds").json()}
    assert kinds["sft"]["inputs"]["base"]["is_required"]
    assert kinds["train"]["schema"]["properties"]["steps"]


def test_presets_are_kept_used_and_deleted(api):
    body = {"kind": "base", "name": "Mine", "config": {"source": {"kind": "smollm2"}}}
    made = api("post", "/api/runs/presets", body).json()
    assert made["name"] == f"kept-{made['id']}"
    assert api("post", "/api/runs/", {"preset": made["name"]}).status_code == 201
    names = [one["name"] for one in api("get", "/api/runs/presets?limit=200").json()["items"]]
    assert names[-1] == made["name"]
    assert api("delete", f"/api/runs/presets/{made['id']}").status_code == 204


def test_the_log_is_lines_and_the_whole_of_it_text(api):
    run = make_run(status="running", attempt=1)
    events.append(run.pk, 1, [events.new("note", text="hello")], lease_seconds=9)
    [line] = api("get", f"/api/runs/{run.pk}/log").json()["items"]
    assert (line["seq"], line["text"]) == (1, "hello")
    whole = api("get", f"/api/runs/{run.pk}/log.txt")
    assert whole["Content-Type"].startswith("text/plain")
    assert b"hello" in whole.content


def test_metrics_are_read_by_name_and_range(api):
    run = make_run("train")
    for step in range(4):
        metrics.record(run, step, {"loss": 1.0 - step / 10, "kl": 0.1}, NOW)
    reply = api("get", f"/api/runs/{run.pk}/metrics?name=loss&after=1").json()
    assert reply["series"]["loss"]["steps"] == [2, 3]
    assert list(reply["series"]) == ["loss"]
    assert api("get", f"/api/runs/{run.pk}/metrics/names").json() == ["kl", "loss"]


def test_what_waits_is_read_and_moved(api):
    first, second = make_run(), make_run()
    assert api("post", f"/api/runs/{second.pk}/move", {"where": "first"}).status_code == 200
    order = [one["id"] for one in api("get", "/api/runs/queue").json()["items"]]
    assert order == [second.pk, first.pk]


@pytest.mark.parametrize(
    ("wanted", "status", "content"),
    [
        ("", 200, b"0123456789"),
        ("bytes=4-", 206, b"456789"),
        ("bytes=2-3", 206, b"23"),
        ("bytes=-2", 206, b"89"),
        ("bytes=8-99", 206, b"89"),
        ("bytes=10-", 416, b""),
        ("bytes=3-2", 200, b"0123456789"),
        ("lines=1-2", 200, b"0123456789"),
    ],
)
async def test_a_file_is_taken_up_where_a_download_broke(tmp_path, wanted, status, content):
    path = tmp_path / "weights"
    path.write_bytes(b"0123456789")
    reply = ranges.send(path, wanted)
    told = b"".join([part async for part in reply]) if reply.streaming else b""
    assert (reply.status_code, told) == (status, content)
    assert status == 416 or reply["Content-Length"] == str(len(content))


def test_the_files_of_a_model_are_listed_and_sent(engineer):
    artifact = make_artifact()
    artifact.location.parent.mkdir(parents=True)
    artifact.location.write_bytes(b"0123456789")
    [file] = engineer.get(f"/api/models/{artifact.pk}/files").json()["items"]
    assert file["size_bytes"] == 10
    url = f"/api/models/{artifact.pk}/files/{file['name']}"
    reply = engineer.get(url, headers={"Range": "bytes=4-"})
    assert (reply.status_code, reply["Content-Range"]) == (206, "bytes 4-9/10")


def test_a_file_beside_the_artifact_is_not_served(engineer):
    artifact = make_artifact()
    artifact.location.parent.mkdir(parents=True)
    artifact.location.write_bytes(b"x")
    for name in ("../secret", "..%2Fsecret", "none"):
        assert engineer.get(f"/api/models/{artifact.pk}/files/{name}").status_code == 404


def test_the_lineage_of_a_model_is_a_graph(api):
    base = make_artifact("base")
    run = make_run("merge", status="done")
    RunInput.objects.create(run=run, name="base", artifact=base)
    merged = make_artifact("merged", run=run)
    graph = api("get", f"/api/models/{merged.pk}/lineage").json()
    assert {"start": f"run-{run.pk}", "end": f"artifact-{merged.pk}"}.items() <= {
        key: value
        for edge in graph["edges"]
        if edge["end"] == graph["root"]
        for key, value in edge.items()
    }.items()
    assert f"artifact-{base.pk}" in {node["key"] for node in graph["nodes"]}


def test_a_pinned_model_keeps_its_files(api):
    artifact = make_artifact(run=make_run(status="done"))
    api("post", f"/api/models/{artifact.pk}/pin", {"is_pinned": True})
    assert api("delete", f"/api/models/{artifact.pk}/files").status_code == 409
    api("post", f"/api/models/{artifact.pk}/pin", {"is_pinned": False})
    assert api("delete", f"/api/models/{artifact.pk}/files").json()["freed"]
    assert Artifact.objects.get(pk=artifact.pk).freed is not None


def test_a_clinician_starts_and_sees_nothing(clinician):
    run = make_run()
    assert clinician.get("/api/runs/").status_code == 403
    assert clinician.get(f"/api/runs/{run.pk}").status_code == 403
    assert clinician.get("/api/models/").status_code == 403


def test_a_list_takes_no_query_a_row(engineer, django_assert_max_num_queries):
    for _ in range(20):
        make_run(owner=engineer.user)
    with django_assert_max_num_queries(7):
        engineer.get("/api/runs/")
