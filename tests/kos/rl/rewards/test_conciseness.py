from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kos.rl.rewards.base import Outcome
from kos.rl.rewards.conciseness import STAGE_2, ConcisenessBonus, LengthBonus
from tests.kos.rl.rewards.groups import assert_fair, earn, groups, situation

SECOND = ConcisenessBonus(curriculum=STAGE_2)
END = ConcisenessBonus(
    response=LengthBonus(free=4000, maximum=6000, beta=0.03),
    output=LengthBonus(free=700, maximum=2150, beta=0.55),
)


def total(stage: ConcisenessBonus, score: float, response: int, output: int) -> float:
    return earn([Outcome(score, response, output)], stage)[0]


def test_the_worked_example_of_stage_2():
    assert total(END, 0.81, 3120, 884) == pytest.approx(1.3202, abs=5e-5)


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


def test_stage_2_begins_as_stage_1_and_ends_as_the_article_has_it():
    assert SECOND.at(0) == ConcisenessBonus()
    assert SECOND.at(1) == END


def test_half_way_every_number_is_half_way():
    half = SECOND.at(0.5)
    assert (half.output.free, half.output.maximum) == (1100, 2575)
    assert (half.output.beta, half.response.beta) == pytest.approx((0.36, 0.09))
    assert (half.response.free, half.response.maximum, half.gate) == (4000, 6000, 0.68)


def test_the_group_is_paid_by_the_numbers_of_its_moment():
    answer = [Outcome(0.9, 3120, 884)]
    assert earn(answer, SECOND, situation(progress=0.0)) == pytest.approx([0.9 + 0.15 + 0.17])
    assert earn(answer, SECOND, situation(progress=1.0)) == earn(answer, END)


def test_a_number_without_a_knot_at_the_start_begins_at_its_own_value():
    stage = ConcisenessBonus(gate=0.5, curriculum=("gate 0.5:0.7",))
    assert [stage.at(share).gate for share in (0, 0.25, 0.5, 1)] == pytest.approx(
        [0.5, 0.6, 0.7, 0.7]
    )


def test_the_charts_see_the_numbers_that_move():
    numbers = SECOND.numbers([Outcome(0.9, 1, 1), Outcome(0.1, 1, 1)], situation(progress=0.5))
    assert numbers["gate/pass_rate"] == 0.5
    assert numbers["curriculum/output.free"] == 1100
    assert "curriculum/gate" not in numbers


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["output.size 1:3"], "'output.size' is none of the numbers: gate, response.free"),
        (["output.free"], "output.free: a curve needs a knot"),
        (["output.free 0:1500 half:9"], "'half:9' is no knot"),
        (["output.free 0:1500 2:900"], "'2:900' is outside the training"),
        (["output.free 0.5:1500 0.5:900"], "knots must go forward: 0.5 comes after 0.5"),
        (["output.free 1:700", "output.free 1:800"], "output.free has two lines"),
        (["gate 1:1.5"], "gate is 1.5 at 1; it must be from 0 to 1"),
        (["output.beta 1:-1"], "output.beta is -1 at 1; it must be at least 0"),
        (["output.maximum 0.5:1000"], "at progress 0.5 the output bonus ends at 1000 tokens"),
    ],
)
def test_a_curriculum_that_makes_no_sense_is_refused_in_words(lines, sentence):
    with pytest.raises(ValidationError, match=sentence):
        ConcisenessBonus(curriculum=lines)


def test_what_cannot_be_read_is_an_error_of_its_own_field():
    with pytest.raises(ValidationError) as caught:
        ConcisenessBonus(curriculum=["output.size 1:3"])
    assert caught.value.errors()[0]["loc"] == ("curriculum",)


def test_two_curves_that_cross_between_the_ends_are_refused():
    with pytest.raises(ValidationError, match=r"at progress 0\.4 the output bonus ends"):
        ConcisenessBonus(
            curriculum=("output.free 0.4:2950 1:100", "output.maximum 0.2:2900 1:3000")
        )


def test_it_comes_back_from_json_as_it_was():
    assert ConcisenessBonus.model_validate_json(SECOND.model_dump_json()) == SECOND


@given(groups, st.floats(0, 1))
def test_at_every_moment_shorter_and_better_never_earn_less(group, progress):
    assert_fair(group, earn(group, SECOND, situation(progress=progress)))
