from __future__ import annotations

import pytest

from kos.data.prompts import conversation
from kos.data.rubrics import Check, RubricItem
from kos.grading.score import grade
from kos.rl.advantages import centre
from kos.rl.losses.cispo import Cispo
from kos.rl.prompts.base import gradable, pick
from kos.rl.rollouts import Segment, compare, graded, read, reward, split_substeps
from tests.kos.engine.tiny import make_tasks


class Letters:
    """Tokens are letters."""

    def decode(self, ids):
        return "".join(chr(i) for i in ids)

    def count(self, text):
        return len(text)


def rollout(task, text):
    ids = tuple(ord(letter) for letter in text)
    said = read([Segment(ids, (-1.0,) * len(ids))], "stop", Letters())
    return reward([graded(said, grade(task, said.answer))], (), ())[0]


def test_advantages_add_up_to_nothing_and_do_not_divide_by_the_deviation():
    assert centre([1.0, 0.0, 0.0, 1.0]) == [0.5, -0.5, -0.5, 0.5]
    assert sum(centre([0.3, 0.7, 0.2])) == pytest.approx(0.0)


def test_a_shift_of_all_rewards_changes_no_advantage():
    assert centre([1.5, 2.0, 4.0]) == pytest.approx(centre([0.5, 1.0, 3.0]))


def test_only_the_visible_answer_is_graded_and_counted():
    found = rollout(make_tasks()[0], "<think>jjj</think>no")
    assert (found.score, found.answer, found.num_answer_tokens) == (0.0, "no", 2)
    assert found.num_tokens == len("<think>jjj</think>no")


def test_an_ungraded_rollout_is_left_out_of_its_group():
    task = make_tasks()[0]
    unchecked = task.model_copy(
        update={"rubric": (RubricItem(key="j", text="Judged.", points=1),)}
    )
    rollouts = [rollout(task, "j"), rollout(task, "x"), rollout(unchecked, "j")]
    group = compare(task, [1, 2], rollouts, Cispo())
    assert [found.advantage for found in group.rollouts] == [0.5, -0.5, None]
    assert len(group.data()) == 2


def test_a_group_of_equals_teaches_nothing():
    task = make_tasks()[0]
    assert compare(task, [1], [rollout(task, "j"), rollout(task, "jj")], Cispo()).is_equal
    assert not compare(task, [1], [rollout(task, "j"), rollout(task, "x")], Cispo()).is_equal


@pytest.mark.parametrize(("count", "sizes"), [(4, [2, 2]), (5, [2, 3]), (1, [1]), (0, [])])
def test_substeps_are_runs_of_whole_groups(count, sizes):
    task = make_tasks()[0]
    groups = [compare(task, [n], [rollout(task, "j")], Cispo()) for n in range(count)]
    parts = split_substeps(groups, 2)
    assert [len(part) for part in parts] == sizes
    assert [group for part in parts for group in part] == groups


def test_no_prompt_comes_twice_in_an_epoch():
    picked = [item for step in (1, 2, 3, 4) for item in pick(8, 4, step=step, seed=1)]
    assert sorted(picked[:8]) == sorted(picked[8:]) == list(range(8))
    assert picked[:8] != picked[8:]


def test_a_prompt_without_checks_cannot_be_trained_on():
    task = make_tasks()[0]
    judged = RubricItem(key="j", text="Judged.", points=1)
    checked = RubricItem(key="c", text="Checked.", points=1, check=Check(any_of=("a",)))
    mixed = task.model_copy(update={"rubric": (checked, judged)})
    assert gradable([task, mixed]) == [task]


def test_the_system_prompt_stands_first():
    assert conversation(make_tasks()[0], "Be brief.")[0] == {
        "role": "system",
        "content": "Be brief.",
    }
