"""The diagnosis page, the estimate beside the form, and what a finished run offers next."""

from __future__ import annotations

import pytest
from django.urls import reverse

from apps.runs.figures import charts
from apps.runs.models import Run, RunInput
from apps.runs.page.next_steps import next_steps
from apps.runs.start import costing
from kos.config import Train
from kos.rl.costs import Prices
from tests.apps.runs.page.test_pages import say, step
from tests.apps.runs.start.test_forms import train
from tests.factories import make_artifact, make_run, make_version


@pytest.fixture
def run(db) -> Run:
    """A training whose last steps teach nothing."""
    config = Train(groups=8).model_dump(mode="json")
    run = make_run("train", status="running", config=config, dataset=make_version())
    for number in range(1, 7):
        numbers = {"groups/equal": 0.875, "reward/part/rubric": 0.9, "length/response": 400.0}
        tokens = {"tokens/sampled": 2e6, "tokens/prefill": 1e6, "tokens/trained": 3e6}
        step(run, number, number, **numbers, **tokens)
    return run


def test_the_diagnosis_says_what_is_wrong_and_draws_what_there_is(engineer, run):
    page = engineer.get(reverse("runs:diagnosis", args=[run.pk]))
    assert "7 of 8 groups have equal rewards: prompts too easy." in page.content.decode()
    anchors = [group.anchor for group in page.context["groups"]]
    assert anchors == ["reward", "lengths", "cost"]


def test_the_overview_says_it_first(engineer, run):
    path = reverse("runs:detail", args=[run.pk])
    assert "prompts too easy" in engineer.get(path).content.decode()
    part = engineer.get(path, {"fragment": "findings"}, headers={"HX-Request": "true"})
    assert "<html" not in part.content.decode()
    assert "prompts too easy" in part.content.decode()


def test_a_run_of_an_older_kos_still_opens(engineer):
    run = make_run("train", config={"kind": "train", "reward": {"kind": "gone"}})
    step(run, 1, 1, loss=1.0)
    assert engineer.get(reverse("runs:detail", args=[run.pk])).status_code == 200
    assert engineer.get(reverse("runs:diagnosis", args=[run.pk])).status_code == 200
    assert engineer.get(reverse("runs:new", args=["train"]), {"clone": run.pk}).status_code == 200


def test_there_is_nothing_to_diagnose_of_other_jobs(engineer):
    assert engineer.get(reverse("runs:diagnosis", args=[make_run("base").pk])).status_code == 404


def test_the_diagnosis_is_for_engineers(engineer, clinician, stranger, run):
    path = reverse("runs:diagnosis", args=[run.pk])
    assert engineer.post(path).status_code == 405
    assert clinician.get(path).status_code == 403
    assert "/sign-in/" in stranger.get(path).headers["Location"]


def test_a_panel_takes_every_metric_below_its_name():
    panel = charts.Panel("Parts", "", ("reward/part/*",))
    assert panel.draws(["reward/part/rubric"])
    assert not panel.draws(["reward/mean"])


def test_before_any_step_every_panel_waits():
    assert charts.groups([]) == [*charts.GROUPS]


def test_the_estimate_stands_beside_the_form(engineer, run):
    page = engineer.get(reverse("runs:new", args=["train"])).content.decode()
    assert "What it would cost" in page
    assert "No price is known" in page


def test_the_estimate_follows_the_knobs_and_the_prices(engineer):
    data = train(steps="10", groups="4", group_size="8").data | {"price-sampled": "2"}
    page = engineer.post(reverse("runs:cost", args=["train"]), data).content.decode()
    # 320 answers of at most 128 tokens, at 2 dollars a million.
    assert "41.0 thousand sampled" in page
    assert "$0.08" in page
    again = engineer.get(reverse("runs:new", args=["train"])).content.decode()
    assert "$0.08" in again


def test_wrong_knobs_have_no_estimate(engineer):
    page = engineer.post(reverse("runs:cost", args=["train"]), train(steps="0").data)
    assert "Mend the knobs first" in page.content.decode()


def test_the_estimate_is_for_engineers_by_post(engineer, clinician, stranger):
    path = reverse("runs:cost", args=["train"])
    assert engineer.get(path).status_code == 405
    assert clinician.post(path).status_code == 403
    assert "/sign-in/" in stranger.post(path).headers["Location"]


def test_what_is_usual_on_the_dataset_is_estimated_with(run):
    Run.objects.filter(pk=run.pk).update(status="done")
    config = Train(sampling={"max_tokens": 1000})
    found = costing.estimated(config, run.dataset, None)
    assert "Answers are taken to have 400 tokens on average." in found.sentences
    assert found.at_most.startswith("At most 320.0 thousand tokens sampled")


def test_real_tokens_cost_what_they_cost(run):
    prices = Prices(1, 0, 2, 3, "a test")
    # Six steps of 1 million read, 2 sampled, 3 trained on.
    assert costing.spent_dollars(charts.steps(run), prices) == 6 * (1 + 4 + 9)
    assert costing.spent_dollars(charts.steps(run), None) is None


@pytest.fixture
def done(engineer) -> Run:
    run = make_run("train", status="done", dataset=make_version())
    RunInput.objects.create(run=run, name="base", artifact=make_artifact())
    make_artifact("adapter", run=run)
    return run


def test_a_finished_training_offers_what_comes_next(engineer, done):
    verbs = [offer.verb for offer in next_steps(done)]
    assert verbs[0] == "Shorter answers: second phase"
    assert {"Merge", "Evaluate"} < {*verbs}
    answers = [engineer.get(offer.url) for offer in next_steps(done)]
    assert {answer.status_code for answer in answers} == {200}


def test_the_second_phase_starts_from_the_adapter_with_fewer_tokens(engineer, done):
    page = engineer.get(next_steps(done)[0].url)
    form, inputs = page.context["form"], page.context["inputs"]
    adapter = done.artifacts.get()
    assert str(inputs["adapter"].value()) == str(adapter.pk)
    assert form.parts["sampling"]["max_tokens"].value() < done.config["sampling"]["max_tokens"]
    kinds = [part["kind"].value() for part in form.parts["rewards"].parts.values()]
    assert kinds[-1] == "length_k15"


def test_a_run_that_is_not_done_offers_nothing(run):
    say(run, 99, "note", {"text": "still at it"})
    assert next_steps(run) == []
