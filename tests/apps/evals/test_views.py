from __future__ import annotations

from typing import Any

import pytest

from apps.runs.models import Artifact
from kos.data.rubrics import RubricItem, RubricTask, Turn
from kos.evals.report import build
from kos.events import ItemGrade, RolloutDone
from tests.factories import make_artifact, make_run, make_version

TASK = RubricTask(
    id="a",
    messages=(Turn(role="user", content="q"),),
    rubric=(RubricItem(key="k", text="t", points=5),),
    use_case="consult",
)


def answer(model: str, score: float) -> RolloutDone:
    return RolloutDone(
        model=model,
        example_id="a",
        sample=0,
        messages=(),
        answer="yes",
        thinking="",
        raw="yes",
        num_tokens=1,
        num_answer_tokens=1,
        stop_reason="stop",
        items=(ItemGrade("k", "t", 5, met=True, grader="check"),),
        score=score,
    )


@pytest.fixture
def report(db: None) -> Artifact:
    answers = [answer("base", 0.25), answer("trained", 0.75)]
    made = build("Evaluation", answers, {"a": TASK}, mode="healthbench", samples=1, seed=0)
    run = make_run("evaluate", status="done", dataset=make_version(TASK))
    return make_artifact("report", run=run, summary=made.to_json())


def test_the_list_shows_each_models_score(engineer: Any, report: Artifact) -> None:
    page = engineer.get("/evals/")
    assert page.status_code == 200
    assert "0.250" in page.content.decode()
    assert "0.750" in page.content.decode()


def test_the_report_says_what_the_step_changed(reviewer: Any, report: Artifact) -> None:
    text = reviewer.get(f"/evals/{report.pk}/").content.decode()
    assert "base to trained" in text
    assert "+0.500" in text


def test_the_api_gives_the_report(engineer: Any, report: Artifact) -> None:
    body = engineer.get(f"/api/evals/{report.pk}").json()
    assert body["report"]["models"][1]["value"] == 0.75


def test_an_empty_list_says_what_an_evaluation_is(engineer: Any) -> None:
    assert "No evaluations yet" in engineer.get("/evals/").content.decode()


@pytest.mark.parametrize("path", ["/evals/", "/evals/1/"])
def test_strangers_sign_in_and_clinicians_are_refused(
    path: str, stranger: Any, clinician: Any
) -> None:
    assert stranger.get(path).status_code == 302
    assert clinician.get(path).status_code == 403
    assert clinician.post("/evals/").status_code in (403, 405)
