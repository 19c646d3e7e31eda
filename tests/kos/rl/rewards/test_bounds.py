"""How far each stage may move a reward, and that no stage cares about the order of answers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kos.rl.rewards.base import STAGES, Outcome
from kos.rl.rewards.conciseness import ConcisenessBonus, LengthBonus
from kos.rl.rewards.length_k15 import LengthK15
from tests.kos.rl.rewards.groups import earn, groups, situation

STAGES.register_folder("kos.rl.rewards")
QUICK = settings(max_examples=60)
ALONE = ("conciseness", "length_k15", "budget", "toggle", "repetition", "faithfulness")
bonuses = st.builds(
    lambda free, more, beta: LengthBonus(free=free, maximum=free + more, beta=beta),
    st.integers(0, 4000),
    st.integers(1, 4000),
    st.floats(0, 1),
)
lengths = st.integers(0, 9000)


@given(bonus=bonuses, length=lengths)
@QUICK
def test_a_bonus_stays_within_its_bounds_and_ends_where_it_says(bonus, length):
    assert 0 <= bonus.at(length) <= bonus.beta
    assert bonus.at(bonus.free) == bonus.beta
    assert bonus.at(bonus.maximum) == 0


@given(bonus=bonuses, length=lengths, more=st.integers(0, 3000))
@QUICK
def test_a_longer_answer_never_earns_more_and_no_token_costs_more_than_the_slope(
    bonus, length, more
):
    lost = bonus.at(length) - bonus.at(length + more)
    assert -1e-12 <= lost <= bonus.beta * more / (bonus.maximum - bonus.free) + 1e-12


@given(response=bonuses, output=bonuses, gate=st.floats(0, 1), length=lengths, visible=lengths)
@QUICK
def test_the_gate_opens_the_whole_bonus_and_below_it_a_reward_is_the_score(
    response, output, gate, length, visible
):
    stage = ConcisenessBonus(gate=gate, response=response, output=output)
    below, at = earn(
        [Outcome(gate - 1e-9, length, visible), Outcome(gate, length, visible)], stage
    )
    assert below == pytest.approx(gate - 1e-9, abs=1e-12)
    # The jump at the gate is the bonus itself: never a loss, never more than both of them.
    assert at - gate == pytest.approx(response.at(length) + output.at(visible), abs=1e-9)
    assert at >= below


@given(group=groups, weight=st.floats(0, 2))
@QUICK
def test_k1_5s_length_reward_stays_within_half_its_weight(group, weight):
    parts = LengthK15(weight=weight).parts(group, situation(progress=1.0))
    found = [part["length"] for part in parts if part is not None]
    assert all(-weight / 2 - 1e-12 <= one <= weight / 2 + 1e-12 for one in found)


@given(group=groups, kind=st.sampled_from(["budget", "toggle", "repetition"]))
@QUICK
def test_a_penalty_never_lifts_a_reward(group, kind):
    for outcome, reward in zip(group, earn(group, STAGES[kind](), situation()), strict=True):
        assert reward <= outcome.score + 1e-12


@given(group=groups, kind=st.sampled_from(ALONE), seed=st.randoms(use_true_random=False))
@QUICK
def test_the_order_of_the_answers_moves_no_reward(group, kind, seed):
    order = [*range(len(group))]
    seed.shuffle(order)
    straight = earn(group, STAGES[kind](), situation(progress=1.0))
    turned = earn([group[place] for place in order], STAGES[kind](), situation(progress=1.0))
    assert turned == pytest.approx([straight[place] for place in order], abs=1e-12)
