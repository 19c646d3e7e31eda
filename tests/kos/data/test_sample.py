"""The sample set: every reference earns its own rubric, and no prompt answers itself."""

from __future__ import annotations

from collections import Counter
from importlib import resources
from pathlib import Path

import pytest

from kos.data.readers import read_file
from kos.data.rubrics import RubricTask
from kos.grading.score import grade, unit_score

FOLDER = Path(str(resources.files("kos.data") / "sample"))
NAMES = ("consult", "research", "writing")
TASKS = [task for name in NAMES for task in read_file(FOLDER / f"{name}.jsonl").tasks]


def test_the_set_covers_what_it_promises() -> None:
    assert len(TASKS) >= 150
    assert {task.split for task in TASKS} == {"train", "validation", "test"}
    assert {task.use_case for task in TASKS} == {"consult", "writing", "research"}
    assert {task.type for task in TASKS} == {"good_faith", "red_teaming"}
    assert {task.difficulty for task in TASKS} == {"typical", "difficult"}
    assert len({task.specialty for task in TASKS}) >= 15
    assert all(task.sources and task.licence for task in TASKS)


def test_ids_are_unique_and_most_rubrics_have_a_negative_item() -> None:
    assert max(Counter(task.id for task in TASKS).values()) == 1
    negative = [task for task in TASKS if any(item.points < 0 for item in task.rubric)]
    assert len(negative) > 0.7 * len(TASKS)
    assert all(3 <= len(task.rubric) <= 8 for task in TASKS)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)
def test_the_reference_is_right_and_the_prompt_is_not_an_answer(task: RubricTask) -> None:
    assert unit_score(grade(task, task.reference)) == 1.0
    parroted = unit_score(grade(task, task.messages[-1].content))
    assert parroted is not None
    assert parroted < 0.5
    silent = unit_score(grade(task, ""))
    assert silent is not None
    assert silent <= 0.2
