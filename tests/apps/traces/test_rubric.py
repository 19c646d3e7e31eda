"""Forward from a rubric item to the answers it graded."""

from __future__ import annotations

import pytest
from django.urls import reverse

from apps.reviews.models import Item, Queue, Review, Verdict
from apps.runs.models import RunInput
from apps.traces.models import Grade
from apps.traces.shares import MOST_POINTS, curve
from kos.data.rubrics import RubricTask
from tests.apps.traces.test_origins import TASK
from tests.factories import make_artifact, make_deployment, make_run, make_trace, make_version

URL = "/traces/rubric/"


def grade(trace, *, met: bool | None, key: str = "asks") -> Grade:
    fields = {"text": "as graded", "points": 5, "grader": "judge"}
    return Grade.objects.create(trace=trace, position=0, key=key, met=met, **fields)


@pytest.fixture
def train(db):
    version = make_version(RubricTask.model_validate(TASK))
    return make_run("train", status="done", dataset=version, name="the training")


@pytest.fixture
def example(train):
    return train.dataset.examples.get()


def rollout(run, step: int, sample: int = 0, **fields):
    return make_trace(run=run, step=step, sample=sample, example_id="dose-1", **fields)


def show(persona, example, query: str = ""):
    return persona.get(f"{URL}?example={example.pk}&item=asks&{query}").context


def test_the_page_opens_for_readers_alone(engineer, reviewer, clinician, stranger, example):
    path = f"{URL}?example={example.pk}&item=asks"
    assert engineer.get(path).status_code == reviewer.get(path).status_code == 200
    assert clinician.get(path).status_code == 403
    assert "/sign-in/" in stranger.get(path).headers["Location"]
    assert engineer.post(path).status_code == 405


def test_a_training_shows_how_often_it_was_met_by_step(engineer, train, example):
    for step, met in ((1, False), (1, True), (2, True), (2, None)):
        grade(rollout(train, step, sample=Grade.objects.count()), met=met)
    (training,) = show(engineer, example)["trainings"]
    assert training.steps == [(1, 2, 1), (2, 1, 1)]
    assert training.curve.label == "Met 50% of the time at step 1, 100% at step 2"


def test_evaluations_are_told_apart_by_model(engineer, train, example):
    run = make_run("evaluate", status="done", dataset=train.dataset)
    for model, met in (("base", False), ("trained", True)):
        grade(rollout(run, 0, origin="evaluation", model=model), met=met)
    rows = show(engineer, example)["evaluations"]
    assert [(row.model, row.num_met, row.num) for row in rows] == [
        ("base", 0, 1),
        ("trained", 1, 1),
    ]


def test_chats_stand_by_their_deployment(engineer):
    chat = make_trace(origin="chat", model="kos-here", example_id="chat-5")
    grade(chat, met=True)
    context = engineer.get(f"{URL}?item=asks").context
    assert [(row.model, row.num_met) for row in context["chats"]] == [("kos-here", 1)]


def test_reviewers_are_held_against_the_grader(engineer, reviewer, train, example):
    judged = grade(rollout(train, 1), met=True)
    item = Item.objects.create(
        queue=Queue.objects.create(name="doses"), trace=judged.trace, position=1
    )
    review = Review.objects.create(item=item, reviewer=reviewer.user, status="submitted")
    Verdict.objects.create(review=review, grade=judged, met="not_met")
    context = show(engineer, example, "reviewed=on")
    assert context["agreement"] == (1, 0, 0)
    assert [row.pk for row in context["page"].rows] == [judged.pk]


def test_a_draft_of_a_review_is_not_shown(engineer, reviewer, train, example):
    judged = grade(rollout(train, 1), met=True)
    queue = Queue.objects.create(name="doses")
    item = Item.objects.create(queue=queue, trace=judged.trace, position=1)
    review = Review.objects.create(item=item, reviewer=reviewer.user)
    Verdict.objects.create(review=review, grade=judged, met="unsure")
    page = engineer.get(f"{URL}?example={example.pk}&item=asks").content.decode()
    assert show(engineer, example)["agreement"] is None
    assert "unsure" not in page


def test_another_set_may_call_another_prompt_the_same(engineer, example):
    grade(rollout(make_run("train", dataset=make_version()), 1), met=True)
    assert show(engineer, example)["num"] == 0


def test_deployments_of_what_was_trained_are_what_it_shaped(engineer, train, example):
    grade(rollout(train, 1), met=True)
    adapter = make_artifact("adapter", run=train)
    merge = make_run("merge", status="done")
    RunInput.objects.create(run=merge, name="adapter", artifact=adapter)
    deployment = make_deployment(artifact=make_artifact("merged", run=merge))
    make_deployment()
    assert [node.key.pk for node in show(engineer, example)["shaped"]] == [deployment.pk]


@pytest.mark.parametrize(
    ("query", "num"),
    [("met=yes", 1), ("met=no", 1), ("met=open", 1), ("origin=chat", 0), ("model=x", 0), ("", 3)],
)
def test_answers_are_narrowed_by_the_address(engineer, train, example, query, num):
    for step, met in enumerate((True, False, None)):
        grade(rollout(train, step), met=met)
    assert len(show(engineer, example, query)["page"].rows) == num


def test_the_text_is_the_datasets_own(engineer, train, example):
    grade(rollout(train, 1), met=True)
    assert show(engineer, example)["item"].text == "Asks for the kidney function."


def test_an_example_offers_its_items(engineer, example):
    page = engineer.get(f"{URL}?example={example.pk}").content.decode()
    assert "item=asks" in page
    assert "Choose a rubric item" in engineer.get(URL).content.decode()


def test_restricted_text_stays_hidden(engineer):
    version = make_version(RubricTask.model_validate(TASK), is_restricted=True)
    page = engineer.get(f"{URL}?example={version.examples.get().pk}").content.decode()
    assert "kidney" not in page


def test_answers_come_in_pages(engineer, train, example, monkeypatch):
    monkeypatch.setattr("apps.traces.paging.PAGE_SIZE", 2)
    kept = [grade(rollout(train, step), met=True).pk for step in range(3)]
    first = show(engineer, example)["page"]
    rest = show(engineer, example, f"cursor={first.older}")["page"]
    assert [row.pk for row in (*first.rows, *rest.rows)] == kept[::-1]
    assert rest.older is None


def test_more_answers_ask_no_more_questions(
    engineer, train, example, django_assert_max_num_queries
):
    for step in range(20):
        grade(rollout(train, step), met=True)
    path = reverse("traces:rubric")
    with django_assert_max_num_queries(35):
        engineer.get(f"{path}?example={example.pk}&item=asks")


def test_many_steps_are_drawn_in_few_points():
    drawn = curve([(step, 2, step % 2) for step in range(1000)])
    assert len(drawn.points) <= MOST_POINTS
    assert (drawn.first, drawn.last) == (0, 999)
