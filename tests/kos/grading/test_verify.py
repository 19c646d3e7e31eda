from __future__ import annotations

import pytest

from kos.data.rubrics import RubricTask, Turn, Verifier
from kos.grading.score import grade, raw_score
from kos.grading.verify import final_answer, verify


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("So \\boxed{1} or rather \\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("The answer is 5.\nI was wrong: the answer is **7**.", "7"),
        ("Reasoning\n\n42 mg", "42 mg"),
        ("", ""),
    ],
)
def test_the_final_answer_is_what_is_said_last(text: str, answer: str) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("verifier", "answer", "is_right"),
    [
        (Verifier(kind="exact", answer="Heparin"), "The answer is heparin.", True),
        (Verifier(kind="exact", answer="Heparin"), "The answer is low heparin.", False),
        (Verifier(kind="numeric", answer="1200"), "Answer: 1,200 mg", True),
        (Verifier(kind="numeric", answer="10", params={"rtol": 0.05}), "10.4", True),
        (Verifier(kind="numeric", answer="10"), "10.4", False),
        (Verifier(kind="numeric", answer="10"), "ten", False),
        (Verifier(kind="choice", answer="B"), "The answer is (B) because", True),
        (Verifier(kind="choice", answer="B"), "The answer is C", False),
        (Verifier(kind="regex", params={"pattern": r"\bICD-10\b"}), "icd-10 I20", True),
        (Verifier(kind="expr", answer="3/4"), "so it is = 0.75", True),
        (Verifier(kind="expr", answer="2^3"), "the answer is 2*2*2", True),
        (Verifier(kind="expr", answer="2"), "the answer is 9**9**9", False),
        (Verifier(kind="json_schema", params={"schema": {"type": "object"}}), "{}", True),
        (
            Verifier(kind="json_schema", params={"schema": {"type": "object"}}),
            "```json\n[]\n```",
            False,
        ),
        (Verifier(kind="json_schema", params={"schema": {"type": "object"}}), "no json", False),
        (Verifier(kind="code_tests", params={"tests": ["assert 1"]}), "print(1)", None),
        (Verifier(kind="expr", answer="__import__('os')"), "1", None),
    ],
)
def test_a_rule_finds_the_answer_right_or_wrong(verifier, answer, is_right) -> None:
    assert verify(verifier, answer) is is_right


def test_a_verifier_is_an_item_worth_a_point() -> None:
    task = RubricTask(
        id="a",
        messages=(Turn(role="user", content="2+2?"),),
        verifier=Verifier(kind="numeric", answer="4"),
    )
    assert raw_score(grade(task, "4")) == 1
    assert raw_score(grade(task, "5")) == 0


def test_the_first_number_counts_where_the_unit_holds_another():
    verifier = Verifier(kind="numeric", answer="54", params={"rtol": 0.02, "take": "first"})
    assert verify(verifier, "Answer: 54 mL/min/1.73 m2") is True
    assert verify(verifier, "Answer: 1.73") is False
