from __future__ import annotations

from apps.datasets.sentences import say
from kos.data.rubrics import Check, NumberRange


def test_phrases_are_quoted():
    assert say(Check(any_of=("hold", "omit"))) == "The answer says one of “hold”, “omit”."


def test_every_part_must_hold():
    check = Check(none_of=("aspirin",), max_chars=900)
    assert say(check) == "The answer says none of “aspirin”, and has at most 900 characters."


def test_a_range_of_numbers_names_what_stands_near():
    check = Check(number=NumberRange(low=1, high=2.5, near=("mg",)))
    assert say(check) == "The answer states a number from 1 to 2.5 near “mg”."


def test_a_question_is_asked_for():
    assert say(Check(asks_question=True)) == "The answer asks the reader a question."
