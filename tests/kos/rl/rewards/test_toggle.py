from __future__ import annotations

import json

import pytest

from kos.rl.rewards.base import Outcome
from kos.rl.rewards.toggle import Toggle, quantile
from tests.kos.rl.rewards.groups import earn, situation

STAGE = Toggle(iterations=2, threshold=0.875, percentile=0.9)
# Eight right answers of 100 ... 800 tokens: the 90th percentile lies at 0.9 * 7 = 6.3, so 730.
RIGHT = [Outcome(1.0, 100 * number, 1) for number in range(1, 9)]


def test_phases_change_every_m_iterations_beginning_with_the_budget():
    assert [STAGE.is_limited(step) for step in range(1, 9)] == [
        True, True, False, False, True, True, False, False,
    ]  # fmt: skip


def test_answers_over_the_budget_earn_nothing_in_the_first_phase():
    memory: dict[str, float] = {}
    assert earn(RIGHT, STAGE, situation(step=1, memory=memory)) == [1.0] * 7 + [0.0]
    assert memory == {"task-0": pytest.approx(730)}


def test_an_answer_of_exactly_the_budget_keeps_its_reward():
    assert earn(RIGHT, Toggle(percentile=1.0), situation(step=1)) == [1.0] * 8


def test_length_is_free_in_the_second_phase():
    assert earn(RIGHT, STAGE, situation(step=3)) == [1.0] * 8


@pytest.mark.parametrize(
    ("right", "rewards"),
    [(7, [1.0] * 4 + [0.0] * 4), (6, [1.0] * 6 + [0.0] * 2)],
)
def test_budgets_hold_once_the_group_is_good_enough(right, rewards):
    group = RIGHT[:right] + [Outcome(0.0, 50, 1)] * (8 - right)
    assert earn(group, STAGE, situation(step=1, memory={"task-0": 450.0})) == rewards


def test_a_budget_is_estimated_once():
    memory: dict[str, float] = {}
    earn(RIGHT, STAGE, situation(step=3, memory=memory))
    earn([Outcome(1.0, 10, 1)] * 8, STAGE, situation(step=5, memory=memory))
    assert memory["task-0"] == pytest.approx(730)


def test_a_prompt_without_a_right_answer_has_no_budget_yet():
    memory: dict[str, float] = {}
    stage = Toggle(threshold=0.0)
    assert earn([Outcome(0.5, 9000, 1)], stage, situation(memory=memory)) == [0.5]
    assert memory == {}


def test_memory_that_went_through_json_gives_the_same_rewards():
    memory: dict[str, float] = {}
    earn(RIGHT, STAGE, situation(step=1, memory=memory))
    kept = json.loads(json.dumps(memory))
    group = [Outcome(1.0, 720, 1), Outcome(1.0, 740, 1)]
    assert earn(group, STAGE, situation(step=2, memory=kept)) == [1.0, 0.0]


def test_suppression_lifts_no_answer_that_lost_reward_before():
    group = [Outcome(1.0, 9000, 1, parts={"rubric": -0.5})]
    [part] = STAGE.parts(group, situation(memory={"task-0": 10.0}))
    assert part == {"toggle": 0.0}


def test_quantiles_lie_straight_between_neighbours():
    assert [quantile([40, 10, 20], share) for share in (0, 0.25, 0.5, 1)] == [10, 15, 20, 40]
