"""An answer on a rubric, graded at once by what needs no judge."""

from __future__ import annotations

import pytest

from apps.datasets.trying import TOO_SLOW, try_answer
from kos.data.rubrics import Check, RubricItem, RubricTask, Turn, Verifier
from kos.events import ItemGrade
from kos.grading import patterns

ANSWER = "Hold the  next dose and give Vitamin K. Call 999?"


def item(key: str, points: float = 5, **check: object) -> RubricItem:
    found = Check.model_validate(check) if check else None
    return RubricItem(key=key, text=f"Item {key}.", points=points, check=found)


def rubric(*items: RubricItem, **fields: object) -> RubricTask:
    turns = (Turn(role="user", content="What now?"),)
    return RubricTask(id="t", messages=turns, rubric=items, **fields)


def test_points_and_score_of_checks_alone():
    tried = try_answer(rubric(item("a", any_of=["hold"]), item("b", 3, any_of=["stop"])), ANSWER)
    assert (tried.points, tried.possible, tried.score) == (5, 8, 5 / 8)
    assert (tried.lowest, tried.highest, tried.num_ungraded) == (5 / 8, 5 / 8, 0)


def test_what_a_judge_decides_is_ungraded_and_never_nothing():
    tried = try_answer(rubric(item("a", any_of=["hold"]), item("j"), item("f", -5)), ANSWER)
    assert (tried.score, tried.num_ungraded) == (None, 2)
    assert (tried.lowest, tried.highest) == (0.0, 1.0)
    assert tried.items[1].earned is None


def test_a_fault_that_is_committed_costs_its_points():
    tried = try_answer(rubric(item("a", any_of=["hold"]), item("f", -3, any_of=["999"])), ANSWER)
    assert (tried.points, tried.score) == (2, 2 / 5)


def test_a_judges_verdicts_fill_in_what_was_ungraded():
    grades = [ItemGrade("j", "", 5, True, "judge:x@1", "It says so.")]
    tried = try_answer(rubric(item("a", any_of=["stop"]), item("j")), ANSWER, grades=grades)
    assert (tried.score, tried.items[1].note) == (0.5, "It says so.")


def test_words_are_marked_where_they_stand_in_the_answer():
    tried = try_answer(rubric(item("a", any_of=["next dose", "hold the next"])), ANSWER)
    assert "".join(stretch.text for stretch in tried.stretches) == ANSWER
    marked = [stretch.text for stretch in tried.stretches if stretch.keys]
    assert marked == ["Hold the  ", "next", " dose"]


def test_the_missing_words_are_named():
    (one,) = try_answer(rubric(item("a", all_of=["hold", "tomorrow"])), ANSWER).items
    assert (one.met, one.missing, one.found) == (False, ("tomorrow",), ("Hold",))


def test_a_pattern_is_tried_and_marked():
    (one,) = try_answer(rubric(item("a", regex=r"vitamin\s+k")), ANSWER).items
    assert (one.met, one.found) == (True, ("Vitamin K",))


@pytest.mark.parametrize(("regex", "note"), [("(a+)+$", TOO_SLOW), ("(", "cannot be read")])
def test_a_pattern_that_cannot_be_tried_leaves_its_item_ungraded(monkeypatch, regex, note):
    monkeypatch.setattr(patterns, "LIMIT_SECONDS", 0.5)
    tried = try_answer(rubric(item("a", regex=regex)), "a" * 60 + "b")
    assert tried.items[0].met is None
    assert note in tried.items[0].note


def test_a_verifier_is_an_item_more():
    right = Verifier(kind="numeric", answer="4")
    tried = try_answer(rubric(verifier=right), "The answer is 4")
    assert (tried.verified, tried.score) == (True, 1.0)
