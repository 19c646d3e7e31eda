from __future__ import annotations

import pytest

from kos.rl.prompts.base import Record
from kos.rl.prompts.curriculum import Curriculum
from tests.kos.engine.tiny import make_tasks
from tests.kos.rl.prompts.picking import NUM_STEPS, asked, make, pick

HARD_FROM = 5  # progress 0.4 of 11 steps


def seen(sampler: Curriculum, tasks, steps, record: Record | None = None) -> set[int]:
    """All places that the sampler takes in ``steps``."""
    return {place for step in steps for place in pick(sampler, tasks, 2, step=step, record=record)}


def test_after_a_warm_up_on_all_only_hard_prompts_are_asked():
    sampler = Curriculum(warm_up=0.4)
    record = asked(0.9, 0.1, 0.8, 0.5)
    tasks = make_tasks(4)
    assert seen(sampler, tasks, range(1, HARD_FROM), record) == {0, 1, 2, 3}
    assert seen(sampler, tasks, range(HARD_FROM, NUM_STEPS + 1), record) == {1, 3}


def test_what_became_easy_is_no_longer_hard():
    record = Record({"task-0": [0.0, 0.0, 0.0, 0.9, 0.9], "task-1": [0.1]})
    assert seen(Curriculum(warm_up=0, recent=2), make_tasks(2), range(1, 9), record) == {1}


def test_labels_say_what_is_hard():
    tasks = make(difficulty=["typical", "difficult", "typical", "difficult"])
    assert seen(Curriculum(warm_up=0, by="labels"), tasks, range(1, 9)) == {1, 3}


def test_a_level_says_more_than_the_difficulty():
    tasks = make(difficulty=["typical"] * 3, level=[1, 4, 5])
    assert seen(Curriculum(warm_up=0, by="labels"), tasks, range(1, 9)) == {1, 2}


@pytest.mark.parametrize(("by", "hard"), [("labels", {1}), ("record", {0})])
def test_labels_and_record_fill_in_for_each_other(by, hard):
    tasks = make(difficulty=["typical", "difficult"])
    assert seen(Curriculum(warm_up=0, by=by), tasks, range(1, 9), asked(0.1, 0.9)) == hard
    assert seen(Curriculum(warm_up=0, by="record"), tasks, range(1, 9)) == {1}


def test_when_nothing_is_hard_everything_is_asked():
    assert seen(Curriculum(warm_up=0), make_tasks(3), range(1, 9), asked(0.9, 0.9, 1.0)) == {
        0,
        1,
        2,
    }


def test_from_easy_to_hard_the_easiest_come_first_and_all_at_the_end():
    sampler = Curriculum(order="easy_to_hard", warm_up=0, first_share=0.25)
    record = asked(0.1, 0.9, 0.5, 0.3)
    tasks = make_tasks(4)
    assert seen(sampler, tasks, [1], record) == {1}
    assert seen(sampler, tasks, [5], record) == {1, 2}
    assert seen(sampler, tasks, [NUM_STEPS], record) <= {0, 1, 2, 3}
    assert set(sampler._allowed([0.1, 0.9, 0.5, 0.3], 1.0)) == {0, 1, 2, 3}
