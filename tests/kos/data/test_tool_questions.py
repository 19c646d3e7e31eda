from __future__ import annotations

from collections import Counter

from kos.data.tool_questions import TEMPLATES, made, unseen


def test_every_tool_is_asked_for_about_as_often():
    counts = Counter(one.tool for one in made(140, seed=1))
    assert set(counts) == set(TEMPLATES)
    assert max(counts.values()) - min(counts.values()) <= 6


def test_equal_seeds_make_equal_questions_and_no_question_twice():
    first = made(300, seed=3)
    assert first == made(300, seed=3)
    assert len({one.question for one in first}) == 300


def test_no_template_is_left_with_a_blank():
    assert not [one.question for one in made(300, seed=2) if "{" in one.question]


def test_fifty_questions_are_kept_for_testing_alone():
    kept = unseen()
    assert len(kept) == 50
    assert {one.tool for one in kept} == set(TEMPLATES)
    seen = {one.question.lower() for one in made(2000, seed=0)}
    assert not [one.question for one in kept if one.question.lower() in seen]
