from __future__ import annotations

import pytest

from kos.rl.rewards.base import Outcome
from kos.rl.rewards.length_k15 import LengthK15
from tests.kos.rl.rewards.groups import situation

LENGTHS = (100, 200, 300, 500)


def lengths_earn(scores: tuple[float, ...], lengths: tuple[int, ...], **around: float):
    group = [Outcome(score, tokens, 1) for score, tokens in zip(scores, lengths, strict=True)]
    stage = LengthK15(weight=1, warm_up=0.5)
    parts = stage.parts(group, situation(**{"progress": 1.0, **around}))
    return [part["length"] for part in parts if part is not None]


def test_right_answers_get_lambda():
    assert lengths_earn((1, 1, 1, 1), LENGTHS) == pytest.approx([0.5, 0.25, 0.0, -0.5])


def test_wrong_answers_gain_nothing_by_being_short():
    assert lengths_earn((0, 0, 0, 0), LENGTHS) == pytest.approx([0.0, 0.0, 0.0, -0.5])


def test_a_graded_answer_is_right_from_the_gate_on():
    assert lengths_earn((0.6799, 0.68), (100, 100)) == [0.0, 0.0]
    assert lengths_earn((0.6799, 0.68, 1), (100, 100, 300)) == pytest.approx([0.0, 0.5, -0.5])


def test_equal_lengths_earn_nothing():
    assert lengths_earn((1, 0, 1), (70, 70, 70)) == [0.0, 0.0, 0.0]


def test_the_length_does_not_count_while_warming_up():
    assert lengths_earn((1, 1), (100, 200), progress=0.49) == [0.0, 0.0]
    assert lengths_earn((1, 1), (100, 200), progress=0.5) == [0.5, -0.5]
