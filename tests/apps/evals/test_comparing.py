from __future__ import annotations

import pytest
from django.urls import reverse

from apps.traces.models import Grade, Trace
from apps.traces.services import record
from tests.apps.evals.conftest import make_rollout, make_task
from tests.factories import make_run, make_version


def compare(client, first, second, **more):
    return client.get(reverse("evals:compare"), {"a": first, "b": second, **more})


@pytest.fixture
def other(run):
    """Another run, on another version of the dataset, that shares prompt a alone."""
    made = make_run("evaluate", status="done", dataset=make_version(make_task("a")), name="Other")
    record(
        made,
        1,
        [make_rollout("base", "a", "yyyn"), make_rollout("base", "z", "yyyn")],
        origin="evaluation",
    )
    return made


def test_two_models_of_a_run_are_compared_prompt_by_prompt(reviewer, run):
    page = compare(reviewer, f"{run.pk}:base", f"{run.pk}:trained", mode="raw")
    overall = page.context["overall"]
    assert (overall["wins"], overall["losses"], overall["delta"]["n"]) == (3, 0, 3)
    assert overall["delta"]["mean"] == pytest.approx((0.5 + 10 / 22 + 13 / 22) / 3)


def test_the_items_that_flipped_stand_beside_both_answers(reviewer, run):
    page = compare(reviewer, f"{run.pk}:trained", f"{run.pk}:base").content.decode()
    assert "Worst regressions" in page
    assert "avoided → committed" in page
    assert "base says ynyy." in page
    assert "trained says yyyn." in page


def test_different_datasets_are_refused_until_confirmed(reviewer, run, other):
    sides = (f"{run.pk}:base", f"{other.pk}:base")
    refused = compare(reviewer, *sides)
    assert refused.status_code == 409
    assert "dataset version" in refused.content.decode()
    page = compare(reviewer, *sides, confirmed=1)
    assert page.context["overall"]["delta"]["n"] == 1
    assert (page.context["found"]["only_baseline"], page.context["found"]["only_candidate"]) == (
        2,
        1,
    )


def test_different_judges_are_refused(reviewer, run, other):
    other.dataset = run.dataset
    other.save(update_fields=["dataset"])
    Grade.objects.filter(trace__run=other).update(grader="judge:u@2")
    refused = compare(reviewer, f"{run.pk}:base", f"{other.pk}:base")
    assert (refused.status_code, b"judge" in refused.content) == (409, True)


def test_a_changed_grade_on_either_side_is_seen(reviewer, run):
    sides = (f"{run.pk}:base", f"{run.pk}:trained")
    before = compare(reviewer, *sides).context["overall"]["delta"]["mean"]
    record(run, 1, [make_rollout("base", "a", "yyyn")], origin="evaluation")
    assert compare(reviewer, *sides).context["overall"]["delta"]["mean"] != before


@pytest.mark.parametrize("side", ["x", "1:", "99999:base"])
def test_a_side_that_is_not_there_is_not_found(reviewer, run, side):
    assert compare(reviewer, side, f"{run.pk}:base").status_code == 404


def test_nothing_shared_is_said(reviewer, run, other):
    Trace.objects.filter(run=other, example_id="a").delete()
    page = compare(reviewer, f"{run.pk}:base", f"{other.pk}:base", confirmed=1)
    assert "Nothing is shared" in page.content.decode()
