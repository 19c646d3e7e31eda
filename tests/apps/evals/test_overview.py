from __future__ import annotations

import pytest

from apps.evals import answers, computing, overview, reports, services
from apps.evals.models import Computed
from apps.evals.overview import Choice
from apps.traces.models import Grade
from apps.traces.services import record
from kos.evals.scores import Mode
from tests.apps.evals.conftest import make_rollout
from tests.factories import make_user


def grade(run, model, example, key):
    return Grade.objects.get(
        trace__run=run, trace__model=model, trace__example_id=example, key=key
    )


def test_the_worked_example_comes_out_of_the_rows(run):
    # Points 7, 5, 10, -6 with T, F, T, T: (7 + 10 - 6) / 22 = 0.5.
    assert answers.of_run(run, model="base")[0].share == 0.5


def test_answers_are_sliced_by_their_dataset(run):
    found = overview.build(run, Choice(Mode(), "base", "trained"))["numbers"]
    families = {family["family"]: family for family in found["summary"]["partitions"]}
    assert [row["name"] for row in families["use case"]["rows"]] == ["consult", "writing"]
    assert families["use case"]["weighted_sum"] == pytest.approx(families["use case"]["mean"])


def test_the_costs_of_all_items_add_up_to_what_is_missing(run):
    found = overview.build(run, Choice(Mode("raw"), "base"))["numbers"]
    costs = sum(row["cost"] for row in (*found["missed"], *found["penalties"]))
    assert costs == pytest.approx(1 - found["summary"]["headline"]["score"]["value"])


def test_an_override_changes_the_score_and_leaves_the_grade(run):
    services.override(
        grade(run, "base", "a", "k3"), False, make_user(), "It warns, it does not advise."
    )
    assert answers.of_run(run, model="base")[0].share == pytest.approx(17 / 22)
    assert grade(run, "base", "a", "k3").met is True
    row = overview.build(run, Choice(Mode("raw"), "base"))["numbers"]["models"][0]
    assert row["num_overridden"] == 1
    assert row["original"] == pytest.approx((0.5 + 12 / 22 - 6 / 22) / 3)


def test_the_latest_override_wins_and_can_be_withdrawn(run):
    item = grade(run, "base", "a", "k3")
    for met in (False, True, False, None):
        services.override(item, met, make_user(), "second thoughts")
    assert answers.of_run(run, model="base")[0].share == 0.5
    assert item.overrides.count() == 4
    assert answers.num_overridden(run) == {}


def test_an_override_grades_an_ungraded_item(run):
    record(run, 1, [make_rollout("base", "a", "yn?n")], origin="evaluation")
    assert answers.of_run(run, model="base")[0].state == "incomplete"
    services.override(grade(run, "base", "a", "k2"), True, make_user(), "It is named.")
    assert answers.of_run(run, model="base")[0].share == pytest.approx(17 / 22)


def test_numbers_are_computed_once_for_the_same_grades(run):
    made = []
    make = lambda: made.append(1) or {"n": len(made)}  # noqa: E731
    assert [computing.of_run(run, "k", make).data["n"] for _ in range(3)] == [1, 1, 1]
    services.override(grade(run, "base", "a", "k0"), False, make_user(), "no")
    assert computing.of_run(run, "k", make).data["n"] == 2


def test_a_new_answer_changes_the_numbers(run):
    before = answers.basis_of(run)
    record(run, 1, [make_rollout("base", "b", "nnnn")], origin="evaluation")
    assert answers.basis_of(run) != before


def test_a_running_jobs_numbers_may_be_a_few_seconds_old(run):
    run.status = "running"
    run.save(update_fields=["status"])
    computing.of_run(run, "k", lambda: {"n": 1})
    record(run, 1, [make_rollout("base", "b", "nnnn")], origin="evaluation")
    assert computing.of_run(run, "k", lambda: {"n": 2}).data["n"] == 1
    Computed.objects.update(at="2020-01-01T00:00Z")
    assert computing.of_run(run, "k", lambda: {"n": 2}).data["n"] == 2


def test_the_mode_is_the_runs_own_unless_asked_for(run):
    assert reports.choose(run, {}).mode.name == "healthbench"
    assert reports.choose(run, {"mode": "unit"}).mode.name == "unit"
    assert reports.choose(run, {"mode": "nonsense"}).mode.name == "healthbench"
