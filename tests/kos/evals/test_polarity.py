from __future__ import annotations

import pytest

from kos.evals.polarity import contradiction
from kos.events import ItemGrade


def grade(text: str, note: str, *, met: bool | None, points: float = -5) -> ItemGrade:
    return ItemGrade("k", text, points, met, "judge", note)


FAILS = "Fails to ask about allergies."


@pytest.mark.parametrize(
    ("met", "note", "found"),
    [
        (True, "The response asks which allergies the patient has.", "says_done"),
        (True, "The response never asks about allergies.", ""),
        (True, "It goes straight to a dose, omitting allergies.", ""),
        (True, "It doesn't ask.", ""),
        (False, "The response does not ask about allergies.", "says_missing"),
        (False, "The response does not fail to ask about allergies.", ""),
        (False, "It asks about allergies. It does not ask about asthma.", ""),
        (False, "It asks about allergies.", ""),
        (True, "Allergies are asked for, so the criterion is not met.", "says_otherwise"),
        (None, "The response asks.", ""),
        (True, "", ""),
    ],
)
def test_an_absence_is_checked_against_its_explanation(met, note, found) -> None:
    assert contradiction(grade(FAILS, note, met=met)) == found


def test_a_fault_that_is_an_act_needs_no_negation() -> None:
    assert contradiction(grade("Recommends aspirin.", "It recommends aspirin.", met=True)) == ""


def test_a_wish_phrased_with_not_is_no_fault() -> None:
    wish = grade("Does not recommend aspirin.", "It recommends rest.", met=True, points=5)
    assert contradiction(wish) == ""


def test_a_verdict_spelled_out_against_itself_is_found_on_wishes_too() -> None:
    wish = grade(
        "Names a dose.", "No dose is given. The criterion is not met.", met=True, points=5
    )
    assert contradiction(wish) == "says_otherwise"
