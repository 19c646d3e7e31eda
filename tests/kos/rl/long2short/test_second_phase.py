from __future__ import annotations

from kos.config import Lora, Sampling, Train
from kos.rl.long2short.second_phase import second_phase
from kos.rl.rewards.conciseness import ConcisenessBonus
from kos.rl.rewards.length_k15 import LengthK15

FIRST = Train(
    rewards=(ConcisenessBonus(gate=0.4),),
    sampling=Sampling(max_tokens=10_000, temperature=0.9),
    lora=Lora(rank=44, alpha=44),
)


def test_the_length_counts_from_the_first_step_and_answers_get_less_room():
    second = second_phase(FIRST)
    assert second.rewards == (ConcisenessBonus(gate=0.4), LengthK15(gate=0.4, warm_up=0.0))
    assert second.sampling == Sampling(max_tokens=2500, temperature=0.9)


def test_everything_else_stays_as_it_was():
    second = second_phase(FIRST)
    changed = {"rewards", "sampling"}
    assert second.model_dump(exclude=changed) == FIRST.model_dump(exclude=changed)


def test_a_length_reward_that_was_there_keeps_its_weight():
    first = FIRST.model_copy(update={"rewards": (LengthK15(weight=0.7, warm_up=0.5),)})
    assert second_phase(first).rewards == (LengthK15(weight=0.7, warm_up=0.0),)


def test_a_tiny_budget_is_not_raised():
    first = FIRST.model_copy(update={"sampling": Sampling(max_tokens=8)})
    assert second_phase(first).sampling.max_tokens == 8


def test_a_bonus_stays_where_its_curriculum_ended():
    bonus = ConcisenessBonus(curriculum=("output.free 0:1500 1:700", "gate 0:0.68 1:0.6"))
    bonus_after, length = second_phase(FIRST.model_copy(update={"rewards": (bonus,)})).rewards
    assert (bonus_after.output.free, bonus_after.curriculum) == (700, ())
    assert length.gate == bonus_after.gate == 0.6
