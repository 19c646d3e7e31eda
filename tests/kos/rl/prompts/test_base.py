from __future__ import annotations

import pytest

from kos.data.rubrics import Measured
from kos.rl.prompts.base import PROMPTS, Record, draw, success, walk
from tests.kos.engine.tiny import make_tasks
from tests.kos.rl.prompts.picking import asked, make, pick

PROMPTS.register_folder("kos.rl.prompts")
each_sampler = pytest.mark.parametrize("sampler", [*PROMPTS], ids=lambda cls: cls.__name__)


@each_sampler
def test_the_same_arguments_give_the_same_prompts(sampler):
    made = sampler()
    tasks, record = make_tasks(9), asked(0.1, 0.9, 0.5)
    first = [pick(made, tasks, 4, step=step, seed=3, record=record) for step in range(1, 9)]
    again = [pick(made, tasks, 4, step=step, seed=3, record=record) for step in range(1, 9)]
    other = [pick(made, tasks, 4, step=step, seed=4, record=record) for step in range(1, 9)]
    assert first == again != other
    assert all(len(places) == 4 and set(places) <= set(range(9)) for places in first)


@each_sampler
def test_a_batch_may_be_larger_than_the_set(sampler):
    assert sorted(pick(sampler(), make_tasks(2), 4)) == [0, 0, 1, 1]


def test_a_walk_asks_everything_once_before_anything_twice():
    walked = walk(5, 0, 15, seed=1)
    assert all(sorted(walked[start : start + 5]) == [0, 1, 2, 3, 4] for start in (0, 5, 10))
    assert walk(5, 7, 4, seed=1) == walked[7:11]


def test_what_weighs_nothing_is_not_drawn():
    assert set(draw([0, 1, 0, 1], 6, step=1, seed=0)) == {1, 3}


def test_with_no_weight_at_all_everything_is_alike():
    assert sorted(draw([0, 0, 0], 3, step=1, seed=0)) == [0, 1, 2]


def test_success_is_the_mean_of_the_last_scores_then_the_measured_rate():
    [task] = make_tasks(1)
    known = Record({"task-0": [0.0, 0.5, 1.0]}, {"task-0": 0.2})
    assert success(task, known) == 0.5
    assert success(task, known, recent=2) == 0.75
    assert success(task, Record({}, {"task-0": 0.2})) == 0.2
    assert success(make(measured=[Measured(pass_rate=0.3)])[0], Record()) == 0.3
    assert success(task, Record()) is None
