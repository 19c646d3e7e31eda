from __future__ import annotations

import pytest

from kos.rl.critic.agreement import Verdicts, decide, measure

RIGHT, WRONG, FLIPPED, SILENT = ("a", "b"), ("b", "a"), ("a", "a"), (None, "a")
KEPT = {"calibrated_uncertainty": 0.75}


def agreement(*marks, start=0):
    return measure([Verdicts(f"p{n}", *mark) for n, mark in enumerate(marks, start)], seed=3)


def promotion(before, after, kept=KEPT):
    return decide(before, after, kept_before=KEPT, kept_after=kept, seed=3)


def test_agreement_is_the_share_of_right_verdicts_over_both_orders():
    found = agreement(RIGHT, WRONG, FLIPPED, RIGHT)
    assert found.rate == (1 + 0 + 0.5 + 1) / 4
    assert found.flips == 0.25
    assert 0 <= found.low < found.rate < found.high <= 1


def test_a_critic_that_always_says_a_agrees_by_half_and_is_seen_to_be_biased():
    found = agreement(FLIPPED, FLIPPED, FLIPPED)
    assert (found.rate, found.flips, found.said_a) == (0.5, 1.0, 1.0)


def test_an_unreadable_verdict_is_not_a_wrong_one():
    found = agreement(SILENT, RIGHT)
    assert found.unreadable == 0.25
    assert found.by_prompt == {"p0": 0.0, "p1": 1.0}


def test_prompts_weigh_alike_however_many_pairs_they_have():
    verdicts = [Verdicts("many", *WRONG)] * 3 + [Verdicts("one", *RIGHT)]
    assert measure(verdicts, seed=0).rate == 0.5


def test_a_clear_rise_is_promoted():
    found = promotion(agreement(*[FLIPPED] * 8), agreement(*[RIGHT] * 7, FLIPPED))
    assert found.promoted
    assert "from 50.0 % to 93.8 % on 8 held-out prompts" in found.why


def test_a_rise_within_its_interval_is_refused():
    before = agreement(RIGHT, WRONG, RIGHT, WRONG, RIGHT, WRONG)
    after = agreement(WRONG, RIGHT, RIGHT, RIGHT, RIGHT, WRONG)
    found = promotion(before, after)
    assert not found.promoted
    assert "does not lie above no change" in found.why


def test_a_fall_is_refused():
    assert not promotion(agreement(*[RIGHT] * 8), agreement(*[FLIPPED] * 8)).promoted


def test_a_critic_that_got_worse_at_a_mandatory_rubric_is_refused():
    before, after = agreement(*[WRONG] * 8), agreement(*[RIGHT] * 8)
    found = promotion(before, after, {"calibrated_uncertainty": 0.5})
    assert not found.promoted
    assert "right on 75 % of its probes before and 50 % after" in found.why


@pytest.mark.parametrize("count", [1, 4])
def test_too_few_prompts_promote_nobody(count):
    found = promotion(agreement(*[WRONG] * count), agreement(*[RIGHT] * count))
    assert not found.promoted
    assert "too few to tell" in found.why


def test_without_a_verdict_nobody_is_promoted():
    silent = agreement((None, None))
    assert "no held-out pair had a verdict" in promotion(silent, silent).why


def test_the_charts_show_the_interval():
    numbers = agreement(RIGHT, FLIPPED).numbers()
    assert numbers["critic/agreement"] == 0.75
    assert numbers["critic/agreement_low"] <= 0.75 <= numbers["critic/agreement_high"]
    assert numbers["critic/flips"] == 0.5
