from __future__ import annotations

import pytest

from kos.rl.rewards.base import Outcome
from kos.rl.rewards.repetition import Repetition
from tests.kos.rl.rewards.groups import earn, situation

LOOP = "rest and drink " * 12


@pytest.mark.parametrize(
    ("outcome", "reward"),
    [
        (Outcome(1.0, 9, 9, "Rest and drink."), 1.0),
        (Outcome(1.0, 9, 9, LOOP), 0.7),
        (Outcome(1.0, 9, 9, "Rest.", stop_reason="repetition"), 0.7),
        (Outcome(1.0, 9, 9, "Rest.", flags=("repetition",)), 0.7),
        (Outcome(1.0, 9, 9, "Rest.", stop_reason="length", flags=("truncated",)), 1.0),
    ],
)
def test_an_answer_that_repeats_itself_loses_the_penalty(outcome, reward):
    assert earn([outcome], Repetition(penalty=0.3)) == pytest.approx([reward])


def test_the_share_is_charted():
    group = [Outcome(1.0, 9, 9, LOOP), Outcome(1.0, 9, 9, "Rest.")]
    assert Repetition().numbers(group, situation()) == {"repetition/share": 0.5}
