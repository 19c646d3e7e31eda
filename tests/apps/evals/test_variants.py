from __future__ import annotations

import pytest
from django.urls import reverse

from apps.evals.variants import Variant, plot, shaped_by, with_front
from apps.runs.models import RunInput
from apps.traces.models import Trace
from apps.traces.services import record
from tests.apps.evals.conftest import make_rollout, make_task
from tests.factories import make_artifact, make_run, make_version

URL = "evals:variants"


def page(client, *runs, **more):
    return client.get(reverse(URL), {"runs": ",".join(str(run.pk) for run in runs), **more})


def shown(answer) -> dict[str, Variant]:
    return {one.model: one for one in answer.context["variants"]}


def variant(number: int, score: float, tokens: float, run) -> Variant:
    return Variant(
        number=number, run=run, model="m", made_by=None, score=score, low=score - 0.1,
        high=score + 0.1, tokens=tokens, tokens_low=None, tokens_high=None, num_prompts=40,
    )  # fmt: skip


def on_front(*points: tuple[float, float]) -> list[bool]:
    found = [variant(n, score, tokens, None) for n, (score, tokens) in enumerate(points)]
    return [one.on_front for one in with_front(found)]


def test_the_front_is_who_is_not_beaten_in_both():
    assert on_front((0.5, 100), (0.4, 50), (0.4, 60), (0.6, 300), (0.5, 300)) == [
        True, True, False, True, False,
    ]  # fmt: skip


def test_equals_share_the_front():
    assert on_front((0.5, 100), (0.5, 100)) == [True, True]


def test_each_model_stands_by_its_score_and_visible_tokens(reviewer, run):
    Trace.objects.filter(run=run, model="trained").update(num_answer_tokens=40, num_tokens=90)
    Trace.objects.filter(run=run, model="base").update(num_answer_tokens=120)
    found = shown(page(reviewer, run))
    assert (found["base"].tokens, found["trained"].tokens) == (120, 40)
    assert found["trained"].on_front
    assert not found["base"].on_front
    assert found["trained"].low < found["trained"].score < found["trained"].high


def test_thinking_can_be_counted_too(reviewer, run):
    Trace.objects.filter(run=run).update(num_tokens=90, num_answer_tokens=40)
    assert shown(page(reviewer, run, tokens="all"))["trained"].tokens == 90


def test_a_prompt_weighs_once_however_many_samples_it_has(reviewer, run):
    again = [make_rollout("base", "a", "ynyy", sample=n) for n in (1, 2, 3)]
    record(run, 1, again, origin="evaluation")
    traces = Trace.objects.filter(run=run, model="base")
    traces.filter(example_id="a").update(num_answer_tokens=90)
    traces.exclude(example_id="a").update(num_answer_tokens=30)
    assert shown(page(reviewer, run))["base"].tokens == pytest.approx(50)


def test_once_the_answers_are_gone_the_report_speaks(reviewer, db):
    old = make_run("evaluate", status="done")
    row = {"model": "trained", "value": 0.5, "low": 0.4, "high": 0.6, "tokens": 77.0}
    make_artifact("report", run=old, summary={"models": [row | {"num_prompts": 9}]})
    [one] = page(reviewer, old).context["variants"]
    assert (one.score, one.tokens, one.tokens_low) == (0.5, 77.0, None)


def test_the_picture_has_intervals_and_the_front(reviewer, run):
    answer = page(reviewer, run)
    text = answer.content.decode()
    assert text.count('class="whisker"') == 4
    assert 'class="front"' in text
    assert "style=" not in text
    assert len(answer.context["plot"].marks) == 2


def test_marks_stay_inside_the_picture(run):
    drawn = plot(with_front([variant(1, 1.0, 9000, run), variant(2, -0.3, 0, run)]))
    for mark in drawn.marks:
        assert 0 <= mark.x <= drawn.axes.width
        assert 0 <= mark.high <= mark.y <= mark.low <= drawn.axes.floor


def test_nothing_is_drawn_for_nothing():
    assert plot([]) is None


def test_a_variant_names_the_training_that_shaped_it(db):
    evaluation = make_run("evaluate", status="done")
    training = make_run("dpo", status="done")
    merging = make_run("merge", status="done")
    adapter = make_artifact("adapter", run=training)
    base, merged = make_artifact("base"), make_artifact("merged", run=merging)
    RunInput.objects.create(run=merging, name="base", artifact=base)
    RunInput.objects.create(run=merging, name="adapter", artifact=adapter)
    RunInput.objects.create(run=evaluation, name="base", artifact=base)
    RunInput.objects.create(run=evaluation, name="trained", artifact=merged)
    assert shaped_by(evaluation, "trained") == training
    assert shaped_by(evaluation, "base") is None


def test_other_prompts_are_pointed_out(reviewer, run):
    other = make_run("evaluate", status="done", dataset=make_version(make_task("a")))
    record(other, 1, [make_rollout("base", "a", "yyyn")], origin="evaluation")
    assert page(reviewer, run).context["unlike"] == []
    assert "differ in dataset version" in page(reviewer, run, other).content.decode()


def test_runs_are_named_in_either_way(reviewer, run):
    other = make_run("evaluate", status="done", dataset=run.dataset)
    record(other, 1, [make_rollout("base", "a", "yyyn")], origin="evaluation")
    one_by_one = reviewer.get(reverse(URL), {"runs": [run.pk, other.pk]})
    assert one_by_one.context["chosen"] == page(reviewer, run, other).context["chosen"]
    assert one_by_one.context["chosen"] == {run.pk, other.pk}


def test_a_run_without_a_score_is_named(reviewer, db):
    waiting = make_run("evaluate", name="Still waiting")
    assert "No score yet" in page(reviewer, waiting).content.decode()


@pytest.mark.parametrize("runs", ["", "x", "999999", "-1", "9" * 40, "1,,2;"])
def test_without_evaluations_the_page_teaches(reviewer, db, runs):
    answer = reviewer.get(reverse(URL), {"runs": runs})
    assert answer.status_code == 200
    assert "Nothing to compare yet" in answer.content.decode()


def test_with_evaluations_and_none_chosen_it_asks_for_them(reviewer, run):
    assert "Choose evaluations" in page(reviewer).content.decode()


def test_names_are_escaped(reviewer, run):
    run.name = "<script>alert(1)</script>"
    run.save(update_fields=["name"])
    assert "<script>alert" not in page(reviewer, run).content.decode()


def test_others_may_not_see_it(stranger, clinician, run):
    assert stranger.get(reverse(URL)).status_code == 302
    assert clinician.get(reverse(URL)).status_code == 403


def test_it_is_read_only(engineer, run):
    assert engineer.post(reverse(URL)).status_code == 405
