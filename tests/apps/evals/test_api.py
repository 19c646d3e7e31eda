from __future__ import annotations

import pytest

from apps.traces.models import Grade
from tests.factories import make_artifact


def test_the_report_of_a_job(engineer, run):
    report = make_artifact("report", run=run, summary={"models": [{"model": "a", "value": 0.75}]})
    body = engineer.get(f"/api/evals/{report.pk}").json()
    assert body["report"]["models"][0]["value"] == 0.75


def test_a_runs_numbers(reviewer, run):
    body = reviewer.get(f"/api/evals/runs/{run.pk}", {"model": "base", "mode": "raw"}).json()
    assert (body["model"], body["baseline"], body["mode"]) == ("base", "trained", "raw")
    assert reviewer.get("/api/evals/runs").json()[0]["name"] == "Toy evaluation"


def test_examples_are_paged(reviewer, run):
    query = {"model": "base", "limit": 2, "page": 2}
    body = reviewer.get(f"/api/evals/runs/{run.pk}/examples", query).json()
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
