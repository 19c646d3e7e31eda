from __future__ import annotations

import pytest

from kos.data.rubrics import RubricTask
from kos.evals.benchmarks.base import find
from kos.evals.benchmarks.physician_tasks import pass_all, pass_at
from kos.evals.scores import Mode
from kos.events import ItemGrade, RolloutDone
from kos.messages import TurnRecord

TASKS = {task.id: task for task in find("physician_tasks").tasks()}


def answer(task: RubricTask, sample: int, passed: bool, *flags: str, context: int = 0):
    turn = TurnRecord(1, "", "", "", (), "stop", flags, context, 9, 0.0, None, 1.0)
    return RolloutDone(
        model="m",
        example_id=task.id,
        sample=sample,
        messages=(),
        answer="Done.",
        thinking="",
        raw="",
        num_tokens=9,
        num_answer_tokens=9,
        stop_reason="stop",
        items=(
            ItemGrade("c1", "t", 1, True, "sandbox"),
            ItemGrade("c2", "t", 1, passed, "sandbox"),
        ),
        score=0.5,
        flags=flags,
        turns=(turn,),
    )


def figures(*answers: RolloutDone) -> dict[tuple[str, str], float | None]:
    tasks = {one.example_id: TASKS[one.example_id] for one in answers}
    found = find("physician_tasks").figures(tasks, {"m": answers}, Mode("unit"))
    return {(one.name, one.part): one.value for one in found}


def test_six_cases_in_three_sizes():
    assert len(TASKS) == 18
    assert {task.tag_value("part") for task in TASKS.values()} == {
        "chart 20k",
        "chart 40k",
        "chart 60k",
    }


def test_pass_rates_are_unbiased():
    assert pass_at(3, 1, 1) == pytest.approx(1 / 3)
    assert pass_at(8, 2, 3) == pytest.approx(1 - 20 / 56)
    assert (pass_all(3, 3, 3), pass_all(3, 2, 3)) == (1.0, 0.0)


def test_a_task_passes_only_with_every_checkpoint():
    first, second = [*TASKS.values()][:2]
    runs = [answer(first, n, True) for n in range(3)] + [
        answer(second, n, n == 0) for n in range(3)
    ]
    found = figures(*runs)
    assert found["pass@1", "all"] == pytest.approx((1 + 1 / 3) / 2)
    assert (found["pass@3", "all"], found["pass^3", "all"]) == (1.0, 0.5)


def test_faults_of_form_are_told_by_chart_and_by_context():
    short, long = TASKS["sandbox-thyroid-20000"], TASKS["sandbox-thyroid-60000"]
    found = figures(
        answer(short, 0, True, context=9_000),
        answer(long, 0, False, "unclosed_call", context=40_000),
    )
    assert (found["fails in form", "chart 20k"], found["fails in form", "chart 60k"]) == (0.0, 1.0)
    assert found["fails in form", "context 4k to 16k"] == 0.0
    assert found["fails in form", "context 32k and more"] == 1.0
