"""From an answer back to what it comes from."""

from __future__ import annotations

import pytest
from django.urls import reverse

from apps.runs.models import RunInput
from apps.traces import origins
from kos.data.rubrics import RubricTask
from tests.factories import make_artifact, make_deployment, make_run, make_trace, make_version

TASK = {
    "id": "dose-1",
    "split": "train",
    "use_case": "consult",
    "type": "good_faith",
    "messages": [{"role": "user", "content": "Which dose?"}],
    "rubric": [{"key": "asks", "text": "Asks for the kidney function.", "points": 5}],
}


@pytest.fixture
def train(db):
    version = make_version(RubricTask.model_validate(TASK), num_examples=1, num_items=1)
    run = make_run("train", status="done", dataset=version, name="the training")
    RunInput.objects.create(run=run, name="base", artifact=make_artifact("base", name="the base"))
    return run


@pytest.fixture
def deployment(train):
    adapter = make_artifact("adapter", run=train, name="the adapter", summary={"rank": 8})
    merge = make_run("merge", status="done", name="the merge")
    RunInput.objects.create(run=merge, name="adapter", artifact=adapter)
    merged = make_artifact("merged", run=merge, name="the merged", format="bf16")
    return make_deployment(artifact=merged, name="kos-here")


@pytest.fixture
def answer(deployment):
    versions = {"dialect": "kos", "tools_digest": "abc123", "code": "f00"}
    return make_trace(run=deployment.run, origin="chat", model="kos-here", versions=versions)


def test_the_way_back_ends_at_the_data_it_learnt_from(answer, deployment, train):
    names = [step.name for step in origins.steps(answer)]
    assert names == [
        f"kos-here #{deployment.pk}",
        "the merged",
        "the merge",
        "the adapter",
        "the training",
        "the base",
        str(train.dataset),
    ]


def test_a_training_says_its_loss_and_rewards(answer):
    step = next(step for step in origins.steps(answer) if step.name == "the training")
    facts = {fact.name: fact.value for fact in step.facts}
    assert facts["Loss"] == "cispo"
    assert facts["Reward"] == "rubric score, conciseness"


def test_the_data_says_how_many_rubric_items_it_has(answer):
    facts = {fact.name: fact.value for fact in origins.steps(answer)[-1].facts}
    assert facts["Rubric items"] == "1"


def test_what_it_was_asked_with_is_kept(answer):
    facts = {fact.name: fact.value for fact in origins.versions(answer)}
    assert facts == {
        "Prompt template": "kos",
        "Tool declarations": "abc123",
        "Code revision": "f00",
    }


def test_an_evaluated_answer_comes_from_the_model_it_is_named_for(train):
    run = make_run("evaluate", status="done", dataset=train.dataset, name="held out")
    for name in ("base", "trained"):
        artifact = make_artifact("merged", name=f"as {name}")
        RunInput.objects.create(run=run, name=name, artifact=artifact)
    trace = make_trace(run=run, origin="evaluation", model="trained", example_id="dose-1")
    names = [step.name for step in origins.steps(trace)]
    assert names[:2] == ["held out", "dose-1"]
    assert "as trained" in names
    assert "as base" not in names


def test_a_rollout_tells_its_step_and_the_parts_of_its_reward(train):
    trace = make_trace(run=train, step=7, reward=0.5, components={"conciseness": 0.1})
    facts = {fact.name: fact.value for fact in origins.steps(trace)[0].facts}
    assert facts["At step"] == "7"
    assert facts["Reward of this answer"] == "0.5 (conciseness 0.1)"


def test_readers_open_the_page_and_others_do_not(engineer, reviewer, clinician, stranger, answer):
    path = reverse("traces:origin", args=[answer.pk])
    assert engineer.get(path).status_code == reviewer.get(path).status_code == 200
    assert clinician.get(path).status_code == 403
    assert "/sign-in/" in stranger.get(path).headers["Location"]
    assert engineer.post(path).status_code == 405


def test_links_to_models_are_for_engineers(engineer, reviewer, answer, deployment):
    path = reverse("traces:origin", args=[answer.pk])
    link = reverse("runs:model", args=[deployment.artifact_id])
    assert link in engineer.get(path).content.decode()
    assert link not in reviewer.get(path).content.decode()


def test_the_page_of_a_trace_loads_its_origin(engineer, answer):
    page = engineer.get(reverse("traces:detail", args=[answer.pk])).content.decode()
    assert f'hx-get="{reverse("traces:origin", args=[answer.pk])}"' in page


def test_a_fragment_is_the_section_alone(engineer, answer):
    path = reverse("traces:origin", args=[answer.pk])
    page = engineer.get(path, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in page
    assert 'id="origin"' in page


def test_an_answer_without_a_run_says_so(engineer):
    trace = make_trace(origin="api")
    trace.run = None
    trace.save(update_fields=["run"])
    page = engineer.get(reverse("traces:origin", args=[trace.pk])).content.decode()
    assert "Nothing is known of what served this answer" in page


def test_the_way_back_asks_few_questions(answer, django_assert_max_num_queries):
    with django_assert_max_num_queries(25):
        origins.steps(answer)
