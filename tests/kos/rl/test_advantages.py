"""What every baseline owes its group, whatever the rewards are."""

from __future__ import annotations

import itertools
import math
import random
from statistics import stdev

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kos.rl.advantages import EPS, are_equal, best, centre, centre_on_partition, standardise
from kos.rl.losses.base import LOSSES
from kos.rl.rewards.base import total

LOSSES.register_folder("kos.rl.losses")
QUICK = settings(max_examples=60)
rewards = st.lists(st.floats(-10, 10, allow_subnormal=False), min_size=1, max_size=12)
# Of these a shift or a doubling is exact, so nothing but the rule can change.
exact = st.lists(st.integers(-640, 640).map(lambda one: one / 64), min_size=1, max_size=12)
RULES = {
    "centre": centre,
    "standardise": standardise,
    "partition": lambda rewards_G: centre_on_partition(rewards_G, 0.5),
    "best": best,
}
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


@pytest.mark.parametrize("rule", [centre, standardise])
@given(rewards_G=rewards)
@QUICK
def test_a_group_gains_nothing_as_a_whole(rule, rewards_G):
    advantages_G = rule(rewards_G)
    assert abs(math.fsum(advantages_G)) <= 1e-12 * sum(map(abs, [*rewards_G, *advantages_G])) / EPS


@every_rule
@given(rewards_G=exact, shift=st.integers(-8, 8))
@QUICK
def test_it_does_not_matter_where_rewards_begin(rule, rewards_G, shift):
    moved = rule([reward + shift for reward in rewards_G])
    assert moved == pytest.approx(rule(rewards_G), abs=1e-9)


@every_rule
@given(rewards_G=exact, seed=st.integers(0, 99))
@QUICK
def test_the_order_of_the_answers_does_not_matter(rule, rewards_G, seed):
    order = [*range(len(rewards_G))]
    random.Random(seed).shuffle(order)
    found = rule([rewards_G[place] for place in order])
    assert found == pytest.approx([rule(rewards_G)[place] for place in order], abs=1e-9)


@every_rule
@given(rewards_G=exact)
@QUICK
def test_a_better_answer_never_has_the_smaller_advantage(rule, rewards_G):
    ranked = sorted(zip(rewards_G, rule(rewards_G), strict=True))
    assert all(low[1] <= high[1] for low, high in itertools.pairwise(ranked))


@given(rewards_G=exact, power=st.integers(-3, 3))
@QUICK
def test_what_is_centred_grows_with_the_rewards(rewards_G, power):
    grown = centre([reward * 2.0**power for reward in rewards_G])
    assert grown == [advantage * 2.0**power for advantage in centre(rewards_G)]


@given(rewards_G=exact, factor=st.floats(0.5, 8))
@QUICK
def test_what_is_standardised_does_not_but_for_its_small_divisor(rewards_G, factor):
    assume(len(rewards_G) > 1 and stdev(rewards_G) > 0.1)
    grown = standardise([reward * factor for reward in rewards_G])
    # EPS over the deviation, and the largest advantage of a group of twelve.
    assert grown == pytest.approx(standardise(rewards_G), abs=4 * EPS / 0.05)
    assert stdev(grown) <= 1


@given(rewards_G=rewards, tau=st.sampled_from((0.01, 0.5, 1.0, 100.0)))
@QUICK
def test_the_partition_lies_between_the_mean_and_the_best(rewards_G, tau):
    log_z = rewards_G[0] - centre_on_partition(rewards_G, tau)[0]
    mean = math.fsum(rewards_G) / len(rewards_G)
    assert mean - 1e-9 * (1 + tau) <= log_z <= max(rewards_G) + 1e-9


@every_rule
@given(reward=st.integers(-640, 640), size=st.integers(1, 12))
@QUICK
def test_a_group_of_equals_is_told_and_teaches_nothing(rule, reward, size):
    rewards_G = [reward / 64] * size
    assert are_equal(rewards_G)
    assert len({*rule(rewards_G)}) == 1
    if rule is not best:
        assert rule(rewards_G) == pytest.approx([0.0] * size, abs=1e-12)


@given(score=st.integers(0, 20), bonus=st.integers(0, 20), size=st.integers(2, 6))
@QUICK
def test_equal_sums_of_other_parts_are_equal(score, bonus, size):
    parts = [
        {"rubric": score / 20, "bonus": bonus / 20},
        {"rubric": bonus / 20, "bonus": score / 20},
    ]
    assert are_equal([total(parts[number % 2]) for number in range(size)])


@pytest.mark.parametrize("loss", [cls() for cls in LOSSES], ids=lambda one: one.kind)
@given(rewards_G=exact)
@QUICK
def test_every_loss_gives_each_answer_one_finite_weight(loss, rewards_G):
    found = loss.advantages(rewards_G)
    assert len(found) == len(rewards_G)
    assert all(map(math.isfinite, found))
