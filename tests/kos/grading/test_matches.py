from __future__ import annotations

from kos.data.rubrics import Check, NumberRange
from kos.grading.matches import MOST_MATCHES, align, find, missing
from kos.grading.rules import plain


def said(check: Check, answer: str) -> list[str]:
    return [answer[match.start : match.end] for match in find(check, answer)]


def test_a_text_is_aligned_with_what_rules_read() -> None:
    text = "  Don\u2019t\u00a0 hold \n it "
    aligned = align(text)
    assert aligned.text == plain(text) == "Don't hold it"
    assert [text[place] for place in aligned.places if not text[place].isspace()] == [
        char.replace("'", "\u2019") for char in aligned.text if char != " "
    ]


def test_a_phrase_is_found_across_blanks_and_quotes() -> None:
    check = Check(any_of=("don't hold",))
    assert said(check, "Please DON\u2019T   hold it") == ["DON\u2019T   hold"]


def test_a_part_of_a_word_is_no_match() -> None:
    assert said(Check(any_of=("INR",)), "INRs differ") == []


def test_numbers_are_found_near_their_words_alone() -> None:
    check = Check(number=NumberRange(low=2, high=3, near=("INR",)))
    assert said(check, "Target INR 2.5." + " x" * 40 + " 2.7 mg") == ["2.5"]


def test_missing_phrases_are_all_of_any_of_where_none_occurs() -> None:
    check = Check(any_of=("hold", "omit"), all_of=("INR", "dose"))
    assert missing(check, "The dose") == ["INR", "hold", "omit"]
    assert missing(check, "Hold the dose, check the INR") == []


def test_a_phrase_that_repeats_is_marked_so_many_times_at_most() -> None:
    assert len(find(Check(any_of=("a",)), "a " * 500)) == MOST_MATCHES


def test_an_empty_answer_has_no_match() -> None:
    assert find(Check(any_of=("a",), asks_question=True), "") == []
