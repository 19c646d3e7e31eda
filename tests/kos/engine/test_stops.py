from __future__ import annotations

import math
from dataclasses import replace

import pytest

from kos.engine.base import Sampled, SamplingParams
from kos.engine.models import load_model
from kos.engine.sampling import Sampler
from kos.engine.stops import EVERY, cut_early, is_confident, is_loop
from tests.kos.engine import tiny

LOOP = SamplingParams(400, stop_repetition=True)


def letters(ids):
    return "".join(chr(97 + i % 26) for i in ids)


def rules(ids):
    return "-" * len(ids)


@pytest.mark.parametrize("period", [1, 3, 40, 64])
def test_a_loop_is_seen_at_every_period_up_to_64(period):
    tokens = [*range(100, 130), *list(range(period)) * (max(8, 64 // period + 1))]
    assert is_loop(tokens, letters)


def test_seven_rounds_or_a_longer_period_are_no_loop():
    assert not is_loop([*range(10)] * 7, letters)
    assert not is_loop([*range(65)] * 9, letters)


def test_a_tables_rule_is_no_loop():
    assert not is_loop([1, 2] * 100, rules)
    assert is_loop([1] * 300, rules)


def test_one_doubt_ends_a_row_of_certain_tokens():
    sure, doubt = math.log(0.995), math.log(0.9)
    assert is_confident([sure] * 5, 5)
    assert not is_confident([sure] * 4, 5)
    assert not is_confident([sure, doubt, sure, sure, sure], 5)


def test_a_planted_loop_is_cut_and_says_so():
    answer = Sampled(tuple(range(20)) + (7, 8) * 150, (-1.0,) * 320, "length")
    found = cut_early(answer, LOOP, letters)
    assert found.stop_reason == "repetition"
    assert len(found.tokens) == len(found.logprobs) <= 20 + 64 + EVERY


def test_an_answer_that_ends_itself_keeps_its_reason():
    answer = Sampled((7, 8) * 32, (-1.0,) * 64, "stop")
    assert cut_early(answer, LOOP, letters) == answer
    assert cut_early(replace(answer, stop_reason="length"), LOOP, letters) != answer


@pytest.fixture(scope="module")
def sampler(policy):
    return Sampler(load_model(policy, tiny.MACHINE), frozenset(), decode=letters)


@pytest.fixture
def parrot(policy):
    """A sampler whose next token depends on the last one alone: greedy, it goes in circles."""
    model = load_model(policy, tiny.MACHINE)
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight.data.zero_()
        layer.mlp.down_proj.weight.data.zero_()
    return Sampler(model, frozenset(), decode=letters)


def test_the_sampler_ends_a_loop_where_the_rule_does(parrot):
    greedy = SamplingParams(250, temperature=0)
    [[whole]] = parrot.sample([[5, 6, 7]], greedy)
    [[cut]] = parrot.sample([[5, 6, 7]], replace(greedy, stop_repetition=True))
    assert cut.stop_reason == "repetition"
    assert cut == cut_early(whole, replace(greedy, stop_repetition=True), letters)
    assert cut.tokens == whole.tokens[: len(cut.tokens)]


def test_the_sampler_ends_an_answer_beyond_doubt(sampler):
    params = SamplingParams(120, temperature=0.02, seed=4)
    [[whole]] = sampler.sample([[5, 6, 7]], params)
    [[cut]] = sampler.sample([[5, 6, 7]], replace(params, stop_confident=10))
    assert cut.stop_reason == "confident"
    assert min(cut.logprobs[-10:]) > math.log(0.99)
    assert cut == cut_early(whole, replace(params, stop_confident=10), letters)


def test_prompts_may_be_drawn_in_different_ways_at_once(sampler):
    ways = [SamplingParams(6, temperature=0), SamplingParams(9, seed=3), SamplingParams(4, 0.5)]
    together = sampler.sample([[5, 6], [7, 8, 9], [5, 6]], ways, num_samples=2)
    for prompt, params, answers in zip([[5, 6], [7, 8, 9], [5, 6]], ways, together, strict=True):
        alone = sampler.sample([prompt], [params], num_samples=2)[0]
        assert [a.tokens for a in answers] == [a.tokens for a in alone]
        assert [len(a.tokens) for a in answers] == [params.max_tokens] * 2
