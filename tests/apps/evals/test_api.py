from __future__ import annotations

import httpx
import pytest
from django.test import Client

from apps.accounts import services as accounts
from apps.accounts.models import Scope
from apps.datasets import drafts
from apps.datasets.models import DatasetVersion
from apps.evals import services, trying
from apps.traces.models import Grade
from kos.errors import UserError
from tests.apps.datasets.test_views import task
from tests.apps.evals.test_judging import make_calibration, make_judge, make_labels
from tests.factories import make_artifact, make_user, make_version
from tests.kos.grading.judges import Scripted

JSON = "application/json"


def test_the_report_of_a_job(engineer, run):
    report = make_artifact("report", run=run, summary={"models": [{"model": "a", "value": 0.75}]})
    body = engineer.get(f"/api/evals/{report.pk}").json()
    assert body["report"]["models"][0]["value"] == 0.75


def test_a_runs_numbers(reviewer, run):
    body = reviewer.get(f"/api/evals/runs/{run.pk}", {"model": "base", "mode": "raw"}).json()
    assert (body["model"], body["baseline"], body["mode"]) == ("base", "trained", "raw")
    assert reviewer.get("/api/evals/runs").json()["items"][0]["name"] == "Toy evaluation"


def test_examples_are_paged(reviewer, run):
    url, query = f"/api/evals/runs/{run.pk}/examples", {"model": "base", "limit": 2}
    first = reviewer.get(url, query).json()
    body = reviewer.get(url, query | {"cursor": first["next"]}).json()
    assert (body["count"], [row["id"] for row in body["items"]]) == (3, ["b"])


def test_a_comparison(reviewer, run):
    sides = {"baseline": f"{run.pk}:base", "candidate": f"{run.pk}:trained"}
    assert reviewer.get("/api/evals/compare", sides).json()["overall"]["wins"] == 3


@pytest.mark.parametrize(
    ("models", "passed"), [(("base", "trained"), True), (("trained", "base"), False)]
)
def test_the_gate_stops_a_real_regression(reviewer, run, models, passed):
    baseline, candidate = ({"run": run.pk, "model": name} for name in models)
    body = {"baseline": baseline, "candidate": candidate, "mode": "raw"}
    answer = reviewer.post("/api/evals/gate", body, content_type="application/json").json()
    assert answer["passed"] is passed


def test_an_override(reviewer, engineer, run):
    grade = Grade.objects.filter(key="k0").first()
    path, body = f"/api/evals/grades/{grade.pk}/override", {"met": False, "reason": "No."}
    assert engineer.post(path, body, content_type="application/json").status_code == 403
    made = reviewer.post(path, body, content_type="application/json")
    assert (made.status_code, made.json()["by"]) == (201, "reviewer")


def test_a_clinician_reads_no_evaluation(clinician, run):
    assert clinician.get("/api/evals/runs").status_code == 403


def test_a_score_is_written_out_item_by_item(reviewer, run):
    query = {"example": "a", "model": "base"}
    body = reviewer.get(f"/api/evals/runs/{run.pk}/sheet", query).json()
    assert (body["model"], body["score"], body["models"]) == ("base", 0.5, ["base", "trained"])
    groups = {line["key"]: line["group"] for line in body["lines"]}
    assert groups == {"k0": "won", "k1": "lost", "k2": "won", "k3": "penalty"}
    assert reviewer.get(f"/api/evals/runs/{run.pk}/sheet", {"example": "z"}).status_code == 404


def test_a_sheet_counts_an_override_and_keeps_the_graders_word(reviewer, run):
    grade = Grade.objects.get(trace__model="base", trace__example_id="a", key="k1")
    services.override(grade, True, reviewer.user, "It is there.")
    body = reviewer.get(
        f"/api/evals/runs/{run.pk}/sheet", {"example": "a", "model": "base"}
    ).json()
    line = next(line for line in body["lines"] if line["key"] == "k1")
    assert (line["met"], line["grader_met"], line["overridden_by"]) == (True, False, "reviewer")
    assert body["score"] > body["grader_score"]


def test_faults_of_two_models_side_by_side(reviewer, run):
    sides = {"baseline": f"{run.pk}:base", "candidate": f"{run.pk}:trained"}
    assert reviewer.get("/api/evals/compare/regressions", sides).status_code == 200
    sides["candidate"] = f"{run.pk}:nobody"
    assert reviewer.get("/api/evals/compare/regressions", sides).status_code == 404


def test_benchmarks_are_listed_and_the_embedded_ones_loaded(engineer, reviewer):
    rows = reviewer.get("/api/evals/benchmarks").json()["items"]
    made = next(row for row in rows if row["is_embedded"])
    path = f"/api/evals/benchmarks/{made['kind']}/load"
    assert reviewer.post(path).status_code == 403
    version = engineer.post(path).json()["dataset"]
    assert DatasetVersion.objects.filter(pk=version).exists()
    assert engineer.post(path).json()["dataset"] == version
    assert engineer.post("/api/evals/benchmarks/none/load").status_code == 404
    needed = next(row for row in rows if row["file"] and not row["is_of_labels"])
    refused = engineer.post(f"/api/evals/benchmarks/{needed['kind']}/load")
    assert (refused.status_code, needed["file"] in refused.json()["detail"]) == (409, True)


def test_published_numbers_say_how_they_were_computed(reviewer):
    rows = reviewer.get("/api/evals/references", {"benchmark": "healthbench_meta"}).json()["items"]
    assert rows
    assert all(row["implementation"] and row["source"] for row in rows)


def test_variants_name_the_shortest_first(reviewer, run):
    body = reviewer.get("/api/evals/variants", {"runs": [run.pk]}).json()
    assert {row["model"] for row in body["variants"]} == {"base", "trained"}
    assert any(row["on_front"] for row in body["variants"])
    assert reviewer.get("/api/evals/variants", {"runs": [run.pk, 99999]}).status_code == 404


def test_a_judge_is_changed_and_keeps_its_standing(engineer, reviewer):
    judge, other = make_judge(), make_judge("Other")
    path, body = f"/api/evals/judges/{judge.pk}", {"max_tokens": 64}
    assert reviewer.patch(path, body, content_type=JSON).status_code == 403
    found = engineer.patch(path, body, content_type=JSON).json()
    assert (found["max_tokens"], found["model"], found["status"]) == (64, "careful", "trial")
    taken = engineer.patch(path, {"name": other.name}, content_type=JSON)
    assert taken.status_code == 409


def test_a_judge_is_asked_for_a_word(engineer, monkeypatch):
    path = f"/api/evals/judges/{make_judge().pk}/probe"
    monkeypatch.setattr(services, "probe", lambda judge, by: "ready")
    assert engineer.post(path).json() == {"said": "ready"}

    def refuse(judge, by):
        raise UserError("nobody answers there")

    monkeypatch.setattr(services, "probe", refuse)
    assert engineer.post(path).status_code == 409


@pytest.mark.parametrize("place", ["a kept prompt", "a draft"])
def test_a_judge_is_tried_on_an_answer(engineer, monkeypatch, place):
    judge, version = make_judge(), make_version(task("a"))
    server = Scripted(lambda question: {"explanation": "It is clear.", "criteria_met": False})
    transport = httpx.MockTransport(server)
    monkeypatch.setattr(
        trying, "connect", lambda url, **more: httpx.AsyncClient(base_url=url, transport=transport)
    )
    body = {"answer": "Hold the dose.", "example": version.examples.get().pk}
    if place == "a draft":
        body = {"answer": "Hold the dose.", "name": "a"}
        body["draft"] = drafts.open_draft(version, make_user()).pk
    path = f"/api/evals/judges/{judge.pk}/try"
    told = engineer.post(path, body, content_type=JSON)
    assert (told.status_code, told.json()["num_ungraded"], len(server.asked)) == (200, 0, 1)
    nothing = engineer.post(path, {"answer": "x"}, content_type=JSON)
    assert nothing.status_code == 409


def test_two_judges_on_the_labels_that_both_graded(engineer, artifacts):
    judges, labels = [make_judge("Kind"), make_judge("Strict")], make_labels()
    query = {"a": judges[0].pk, "b": judges[1].pk}
    assert engineer.get("/api/evals/judges/compare", query).json()["found"] is None
    for wrong, judge in enumerate(judges):
        make_calibration(judge, labels, artifacts, wrong=wrong)
    body = engineer.get("/api/evals/judges/compare", query).json()
    assert (body["labels"], body["shared"]) == (labels.pk, [{"id": labels.pk, "name": "Labels"}])
    assert body["found"]
    other = engineer.get("/api/evals/judges/compare", query | {"labels": 9999})
    assert other.status_code == 404


READS = (
    "runs/{run}/sheet?example=a",
    "benchmarks",
    "references",
    "variants?runs={run}",
    "judges/compare?a=1&b=2",
    "compare/regressions?baseline={run}:base&candidate={run}:trained",
)


def test_new_reads_are_for_engineers_and_reviewers_with_the_scope(clinician, engineer, run):
    token = accounts.create_token(engineer.user, "chat", scopes=[Scope.CHAT_READ]).text
    headers = {"Authorization": f"Bearer {token}"}
    for path in READS:
        url = f"/api/evals/{path.format(run=run.pk)}"
        assert Client().get(url).status_code == 401, path
        assert clinician.get(url).status_code == 403, path
        assert Client().get(url, headers=headers).status_code == 403, path
