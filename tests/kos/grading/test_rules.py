from __future__ import annotations

import pytest

from kos.data.rubrics import Check, NumberRange
from kos.grading.rules import holds


@pytest.mark.parametrize(
    ("check", "answer", "verdict"),
    [
        (Check(any_of=("call 911", "call 999")), "Please CALL  999 now.", True),
        (Check(any_of=("call 911",)), "Recall 9110 times.", False),
        (Check(any_of=("don't stop",)), "Don\u2019t stop it.", True),
        (Check(all_of=("eGFR", "potassium")), "Check eGFR and potassium.", True),
        (Check(all_of=("eGFR", "potassium")), "Check eGFR.", False),
        (Check(none_of=("aspirin",)), "Take paracetamol.", True),
        (Check(none_of=("aspirin",)), "Take Aspirin.", False),
        (Check(regex=r"\bplan:"), "Summary: x\nPlan: y", True),
        (Check(min_chars=5), "    ", False),
        (Check(max_chars=5), "123456", False),
        (Check(asks_question=True), "Do you smoke?", True),
        (Check(any_of=("ECG",), max_chars=10), "ECG at once, please", False),
    ],
)
def test_every_part_of_a_check_must_hold(check: Check, answer: str, verdict: bool) -> None:
    assert holds(check, answer) is verdict


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("At most 4,000 mg of paracetamol a day.", True),
        ("At most 4000 mg a day.", True),
        ("At most 8000 mg a day.", False),
        ("Room 4000 of the hotel by the sea.", False),
        ("Version v4000 mg", False),
    ],
)
def test_a_number_counts_within_its_range_and_near_its_words(answer: str, verdict: bool) -> None:
    wanted = NumberRange(low=3000, high=4000, near=("mg", "paracetamol"))
    assert holds(Check(number=wanted), answer) is verdict
