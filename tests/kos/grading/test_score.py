from __future__ import annotations

import pytest

from kos.data.rubrics import Check, RubricItem, RubricTask, Turn
from kos.events import ItemGrade
from kos.grading.score import grade, raw_score, screening_score, unit_score


def verdicts(*pairs: tuple[float, bool | None], grader: str = "check") -> list[ItemGrade]:
    return [
        ItemGrade(key=str(n), text="t", points=points, met=met, grader=grader)
        for n, (points, met) in enumerate(pairs)
    ]


def task(*items: RubricItem) -> RubricTask:
    return RubricTask(id="a", messages=(Turn(role="user", content="q"),), rubric=items)


@pytest.mark.parametrize(
    ("pairs", "score"),
    [
        ([(7, True), (5, False), (10, True), (-6, True)], 0.5),
        ([(5, False), (-10, True)], -2.0),
        ([(-4, True), (-6, False)], None),
        ([(5, True), (-3, None)], None),
    ],
)
def test_a_score_is_the_share_of_the_positive_points(
    pairs: list[tuple[float, bool | None]], score: float | None
) -> None:
    assert raw_score(verdicts(*pairs)) == score


def test_the_unit_score_is_clipped_to_zero_and_one() -> None:
    assert unit_score(verdicts((5, False), (-10, True))) == 0.0


def test_a_check_decides_its_item() -> None:
    item = RubricItem(key="k", text="Names ECG", points=2, check=Check(any_of=("ECG",)))
    assert [g.met for g in grade(task(item), "Do an ECG.")] == [True]


def test_words_alone_never_grade_a_negative_item_and_never_make_a_score() -> None:
    items = grade(
        task(
            RubricItem(key="a", text="Recommends an electrocardiogram today", points=5),
            RubricItem(key="b", text="Recommends stopping the beta blocker", points=-5),
        ),
        "I recommend an electrocardiogram today.",
    )
    assert [g.met for g in items] == [True, None]
    assert raw_score(items) is None
    assert screening_score(items) == 1.0
