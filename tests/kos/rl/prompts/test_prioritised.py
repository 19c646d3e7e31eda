from __future__ import annotations

from collections import Counter

import pytest

from kos.data.rubrics import Measured
from kos.rl.prompts.base import Record
from kos.rl.prompts.prioritised import Prioritised
from tests.kos.engine.tiny import make_tasks
from tests.kos.rl.prompts.picking import make, pick

# 99.9 percent of the chi-square distribution with 3 degrees of freedom.
CHI_SQUARE_3 = 16.27


def test_draws_are_proportional_to_one_minus_the_success_rate():
    rates, draws = [0.9, 0.6, 0.3, 0.0], 4000
    record = Record({f"task-{n}": [rate] * 1000 for n, rate in enumerate(rates)})
    sampler = Prioritised(floor=0, recent=1000, successes=1e-9, failures=1e-9)
    found = Counter(
        pick(sampler, make_tasks(4), 1, step=step, record=record)[0] for step in range(draws)
    )
    expected = [draws * (1 - rate) / 2.2 for rate in rates]
    distance = sum((found[n] - wanted) ** 2 / wanted for n, wanted in enumerate(expected))
    assert distance < CHI_SQUARE_3


def test_a_rate_begins_at_the_prior_and_moves_with_each_score():
    [task] = make_tasks(1)
    sampler = Prioritised(successes=1, failures=3)
    assert sampler.rate(task, Record()) == 0.25
    assert sampler.rate(task, Record({"task-0": [1.0, 0.5]})) == pytest.approx(2.5 / 6)


def test_a_measured_rate_stands_in_for_the_prior():
    [task] = make(measured=[Measured(pass_rate=0.6)])
    assert Prioritised().rate(task, Record()) == 0.6
    assert Prioritised().rate(task, Record({}, {"task-0": 0.8})) == 0.8
    assert Prioritised().rate(task, Record({"task-0": [0.2]}, {"task-0": 0.8})) == pytest.approx(
        0.6
    )


def test_scores_of_long_ago_are_forgotten():
    [task] = make_tasks(1)
    record = Record({"task-0": [0.0] * 9 + [1.0, 1.0]})
    assert Prioritised(recent=2).rate(task, record) == 0.75


def test_the_floor_keeps_solved_prompts_in_play():
    record = Record({"task-0": [1.0] * 1000, "task-1": [0.0] * 1000})
    knobs = {"recent": 1000, "successes": 1e-9, "failures": 1e-9}
    for floor, seen in ((0.0, {1}), (0.5, {0, 1})):
        sampler = Prioritised(floor=floor, **knobs)
        draws = [pick(sampler, make_tasks(2), 1, step=step, record=record) for step in range(40)]
        assert {place for [place] in draws} == seen


def test_nothing_is_asked_twice_in_a_step_while_others_are_left():
    record = Record({"task-0": [0.0] * 8, "task-1": [1.0] * 8, "task-2": [1.0] * 8})
    assert sorted(pick(Prioritised(), make_tasks(3), 3, record=record)) == [0, 1, 2]
