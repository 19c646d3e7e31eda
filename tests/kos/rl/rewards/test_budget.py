from __future__ import annotations

import pytest
from pydantic import ValidationError

from kos.rl.rewards.base import Outcome
from kos.rl.rewards.budget import Budget
from tests.kos.rl.rewards.groups import TASK, earn, situation

STAGE = Budget(tokens=500, by_tag=("theme:emergency: 80", "writing: 900"), value=-0.1)


@pytest.mark.parametrize(
    ("changes", "tokens"),
    [
        ({}, 500),
        ({"tags": ("theme:emergency",)}, 80),
        ({"use_case": "writing"}, 900),
        ({"use_case": "writing", "tags": ("theme:emergency",)}, 80),
    ],
)
def test_a_task_has_the_budget_of_its_sort(changes, tokens):
    assert STAGE.max_tokens(TASK.model_copy(update=changes)) == tokens


def test_without_a_budget_sampling_is_left_alone():
    assert Budget().max_tokens(TASK) is None


@pytest.mark.parametrize(("score", "reward"), [(1.0, -0.1), (0.0, -0.1)])
def test_a_cut_answer_earns_the_stated_value(score, reward):
    assert earn([Outcome(score, 500, 1, stop_reason="length")], STAGE) == pytest.approx([reward])


def test_an_answer_longer_than_its_budget_counts_as_cut_even_where_it_stopped():
    group = [Outcome(1.0, 500, 1), Outcome(1.0, 501, 1)]
    assert earn(group, STAGE) == pytest.approx([1.0, -0.1])
    assert STAGE.numbers(group, situation()) == {"budget/cut": 0.5}


def test_cut_answers_of_any_score_earn_exactly_the_same():
    group = [Outcome(score, 500, 1, stop_reason="length") for score in (0.0, 0.3, 0.7, 1.0)]
    assert len(set(earn(group, STAGE))) == 1


def test_being_cut_never_pays():
    assert earn([Outcome(0.1, 9, 9, stop_reason="length")], Budget(value=0.4)) == [0.1]


@pytest.mark.parametrize("line", ["writing", "writing: many", ": 80", "writing: 0", "a: 99999999"])
def test_a_line_that_is_no_budget_is_refused(line):
    with pytest.raises(ValidationError, match="is no budget; write a tag"):
        Budget(by_tag=(line,))


def test_a_tag_with_two_budgets_is_refused():
    with pytest.raises(ValidationError, match="writing has two lines"):
        Budget(by_tag=("writing: 80", "writing: 90"))
