from __future__ import annotations

import pytest
from pydantic import ValidationError

from kos.rl.rewards.base import Outcome, Situation, rewarded
from kos.rl.rewards.conciseness import ConcisenessBonus, LengthBonus
from tests.kos.engine.tiny import make_tasks

STAGE_2 = ConcisenessBonus(
    response=LengthBonus(free=4000, maximum=6000, beta=0.03),
    output=LengthBonus(free=700, maximum=2150, beta=0.55),
)


def total(reward: ConcisenessBonus, score: float, response: int, output: int) -> float:
    situation = Situation(make_tasks()[0], 0.0, 1)
    [outcome] = rewarded([Outcome(score, response, output)], [reward], [situation])
    assert outcome is not None
    return outcome.reward


def test_the_worked_example_of_stage_2():
    assert total(STAGE_2, 0.81, 3120, 884) == pytest.approx(1.3202, abs=5e-5)


def test_the_gate_belongs_to_the_good_side():
    assert total(ConcisenessBonus(), 0.6799, 100, 100) == 0.6799
    assert total(ConcisenessBonus(), 0.68, 100, 100) == pytest.approx(0.68 + 0.15 + 0.17)


@pytest.mark.parametrize(
    ("length", "bonus"), [(0, 0.17), (1500, 0.17), (2250, 0.085), (3000, 0.0), (9000, 0.0)]
)
def test_the_bonus_is_full_then_falls_then_ends(length, bonus):
    assert LengthBonus(free=1500, maximum=3000, beta=0.17).at(length) == pytest.approx(bonus)


def test_a_bonus_that_never_falls_is_refused():
    with pytest.raises(ValidationError, match="more than the"):
        LengthBonus(free=10, maximum=10, beta=0.1)
