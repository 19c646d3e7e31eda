from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from apps.evals import services
from apps.evals.models import Override
from apps.runs.models import Artifact
from apps.traces.models import Grade, Trace
from kos.evals.report import build
from kos.events import ItemGrade, RolloutDone
from tests.apps.evals.conftest import make_task
from tests.factories import make_artifact, make_run, make_version

TASK = make_task("a")


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
        items=(
            ItemGrade("k0", "t", 4, met=score > 0.5, grader="check"),
            ItemGrade("k1", "t", 4, met=True, grader="check"),
        ),
        score=score,
    )


@pytest.fixture
def report(db: None) -> Artifact:
    """A report whose answers are gone."""
    answers = [answer("base", 0.5), answer("trained", 1.0)]
    made = build("Evaluation", answers, {"a": TASK}, mode="healthbench", samples=1, seed=0)
    run = make_run("evaluate", status="done", dataset=make_version(TASK))
    return make_artifact("report", run=run, summary=made.to_json())


@pytest.fixture
def paths(run) -> list[str]:
    return [
        reverse("evals:list"),
        reverse("evals:run", args=[run.pk]),
        reverse("evals:json", args=[run.pk]),
        reverse("evals:csv", args=[run.pk]),
        reverse("evals:html", args=[run.pk]),
        reverse("evals:example", args=[run.pk, "a"]),
        f"{reverse('evals:compare')}?a={run.pk}:base&b={run.pk}:trained",
        f"{reverse('evals:compare_json')}?a={run.pk}:base&b={run.pk}:trained",
        reverse("evals:compare"),
    ]


def test_every_page_opens_for_engineers_and_reviewers(engineer, reviewer, paths):
    for path in paths:
        assert engineer.get(path).status_code == 200, path
        assert reviewer.get(path).status_code == 200, path


def test_no_page_opens_for_others(stranger, clinician, paths):
    for path in paths:
        assert "/sign-in/" in stranger.get(path).headers["Location"]
        assert clinician.get(path).status_code == 403


def test_pages_are_read_only(engineer, paths):
    assert {engineer.post(path).status_code for path in paths} == {405}


@pytest.mark.parametrize(
    ("status", "said"), [("running", "No answers yet"), ("done", "No answers were kept")]
)
def test_a_run_without_answers_has_a_page(engineer, run, status, said):
    Trace.objects.all().delete()
    type(run).objects.update(status=status)
    assert said in engineer.get(reverse("evals:run", args=[run.pk])).content.decode()


def test_a_running_evaluation_listens_for_answers(engineer, reviewer, run):
    type(run).objects.update(status="running")
    path = reverse("evals:run", args=[run.pk])
    assert 'data-on="rollout status"' in engineer.get(path).content.decode()
    assert 'hx-trigger="every 15s"' in reviewer.get(path).content.decode()


def test_the_list_shows_each_models_score(engineer: Any, report: Artifact) -> None:
    page = engineer.get("/evals/").content.decode()
    assert "50.0" in page
    assert "100.0" in page


def test_a_report_whose_answers_are_gone_stands_as_the_job_left_it(reviewer, report):
    assert "base to trained" in reviewer.get(f"/evals/{report.pk}/").content.decode()


def test_a_report_leads_to_its_runs_page(reviewer, run):
    report = make_artifact("report", run=run)
    assert reviewer.get(f"/evals/{report.pk}/").headers["Location"] == f"/evals/run/{run.pk}/"


def test_the_headline_says_what_was_overridden(reviewer, run):
    path = reverse("evals:run", args=[run.pk])
    assert "1 overridden" not in reviewer.get(path, {"model": "base"}).content.decode()
    grade = Grade.objects.get(trace__model="base", trace__example_id="a", key="k3")
    services.override(grade, False, reviewer.user, "It warns.")
    page = reviewer.get(path, {"model": "base"}).content.decode()
    assert "1 overridden" in page
    assert "25.8 by the grader alone" in page


def test_htmx_gets_the_numbers_alone(engineer, run):
    path = reverse("evals:run", args=[run.pk])
    page = engineer.get(path, {"numbers": "1"}, headers={"HX-Request": "true"}).content.decode()
    assert page.lstrip().startswith('<div id="numbers"')


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["c", "a", "b"]),
        ({"sort": "best"}, ["b", "a", "c"]),
        ({"sort": "improved"}, ["b", "a", "c"]),
        ({"slice": "use case=writing"}, ["c"]),
        ({"flag": "truncated"}, ["a"]),
        ({"flag": "none"}, ["c", "b"]),
        ({"low": "0.52"}, ["b"]),
        ({"item": "k1"}, ["c", "a"]),
        ({"q": "B"}, ["b"]),
        ({"low": "nonsense"}, ["c", "a", "b"]),
    ],
)
def test_examples_are_filtered_and_sorted_by_the_url(reviewer, run, query, found):
    path = reverse("evals:run", args=[run.pk])
    page = reviewer.get(path, {"model": "base", "baseline": "trained"} | query)
    assert [row["id"] for row in page.context["page"]] == found


def test_examples_come_in_pages(reviewer, run, monkeypatch):
    monkeypatch.setattr("apps.evals.views.PAGE_SIZE", 2)
    path = reverse("evals:run", args=[run.pk])
    assert len(reviewer.get(path, {"page": 2}).context["page"]) == 1


def test_an_example_writes_its_score_out(reviewer, run):
    path = reverse("evals:example", args=[run.pk, "a"])
    page = reviewer.get(path, {"model": "base"}).content.decode()
    assert "17 - 6 of 22 = 0.5" in page
    titles = [group["title"] for group in reviewer.get(path, {"model": "base"}).context["groups"]]
    assert titles == ["Lost", "Penalties", "Won"]


def test_an_override_needs_a_reviewer_and_a_reason(engineer, reviewer, run):
    grade = Grade.objects.get(trace__model="base", trace__example_id="a", key="k3")
    path = reverse("evals:override", args=[grade.pk])
    assert engineer.post(path, {"met": "not_met", "reason": "r"}).status_code == 403
    reviewer.post(path, {"met": "not_met", "reason": " "})
    assert not Override.objects.exists()
    reviewer.post(path, {"met": "not_met", "reason": "It warns."})
    assert Override.objects.get().by == reviewer.user


def test_benchmark_text_reaches_no_page(reviewer, run):
    Trace.objects.update(is_restricted=True, messages=[], question="", answer="model words")
    Grade.objects.update(text="Benchmark text is not kept.", note="")
    run.dataset.examples.update(
        task=make_task("a", tags=("theme:secret",), restricted=True).model_dump(mode="json")
    )
    for path in (
        reverse("evals:run", args=[run.pk]),
        reverse("evals:example", args=[run.pk, "a"]),
    ):
        page = reviewer.get(path).content.decode()
        assert "Ask a?" not in page
        assert "Criterion" not in page


def test_a_models_words_are_only_words(reviewer, run):
    Trace.objects.update(answer="<script>alert(1)</script>")
    page = reviewer.get(reverse("evals:example", args=[run.pk, "a"])).content.decode()
    assert "<script>alert" not in page


def test_the_html_report_stands_alone(reviewer, run):
    page = reviewer.get(reverse("evals:html", args=[run.pk])).content.decode()
    assert page.startswith("<!doctype html>")
    assert "Toy evaluation: trained" in page
    assert "src=" not in page


def test_an_empty_list_says_what_an_evaluation_is(engineer: Any) -> None:
    assert "No evaluations yet" in engineer.get("/evals/").content.decode()
