from __future__ import annotations

import pytest
import torch

from kos.engine.base import SamplingParams
from kos.engine.models import load_model
from kos.engine.sampling import Sampler, draw
from kos.errors import CancelledError, UserError
from tests.kos.engine import tiny

PROMPTS = [[5, 6, 7], [9, 8, 7, 6, 5, 4], [3]]


@pytest.fixture(scope="module")
def sampler(policy):
    return Sampler(load_model(policy, tiny.MACHINE), frozenset({511}), max_rows=4)


def greedy(model, prompt, count):
    """The likeliest tokens by the model's own forward pass, without any cache."""
    ids = list(prompt)
    for _ in range(count):
        ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] == 511:
            break
    return tuple(ids[len(prompt) :])


def test_greedy_answers_are_those_of_the_models_own_logits(sampler, policy):
    answers = sampler.sample(PROMPTS, SamplingParams(12, temperature=0))
    model = load_model(policy, tiny.MACHINE)
    with torch.no_grad():
        assert [a[0].tokens for a in answers] == [greedy(model, p, 12) for p in PROMPTS]


def test_logprobs_are_those_of_a_forward_pass_at_the_temperature(sampler, policy):
    [[answer]] = sampler.sample([PROMPTS[1]], SamplingParams(10, temperature=0.7, seed=3))
    model = load_model(policy, tiny.MACHINE)
    full = torch.tensor([[*PROMPTS[1], *answer.tokens]])
    with torch.no_grad():
        logp = (model(full).logits[0, len(PROMPTS[1]) - 1 : -1] / 0.7).log_softmax(-1)
    expected = logp.gather(-1, torch.tensor(answer.tokens)[:, None])[:, 0]
    torch.testing.assert_close(torch.tensor(answer.logprobs), expected, atol=1e-4, rtol=1e-4)


def test_an_answer_does_not_depend_on_what_else_is_sampled(sampler):
    params = SamplingParams(16, seed=5)
    together = sampler.sample(PROMPTS, params, num_samples=5)
    alone = Sampler(sampler.model, frozenset({511}), max_rows=1)
    assert [[a.tokens for a in row] for row in together] == [
        [a.tokens for a in row] for row in alone.sample(PROMPTS, params, num_samples=5)
    ]


def test_samples_of_a_prompt_differ_and_a_seed_repeats_them(sampler):
    [first] = sampler.sample([PROMPTS[0]], SamplingParams(8, seed=1), num_samples=6)
    [again] = sampler.sample([PROMPTS[0]], SamplingParams(8, seed=1), num_samples=6)
    assert first == again
    assert len({answer.tokens for answer in first}) > 1


def test_an_answer_ends_with_an_ending_token_or_at_the_limit(sampler):
    answers = sampler.sample(PROMPTS, SamplingParams(200, seed=2), num_samples=20)
    for answer in [a for row in answers for a in row]:
        assert (answer.tokens[-1] == 511) == (answer.stop_reason == "stop")
        assert 511 not in answer.tokens[:-1]
        assert answer.stop_reason == "stop" or len(answer.tokens) == 200


def test_draws_follow_the_probabilities():
    logits = torch.tensor([0.5, 0.3, 0.2]).log().expand(4000, 3)
    tokens, _ = draw(logits, torch.linspace(0, 1, 4001)[:-1], SamplingParams(1))
    assert torch.bincount(tokens).tolist() == pytest.approx([2000, 1200, 800], abs=2)


def test_top_p_keeps_the_token_that_crosses_it():
    logits = torch.tensor([0.5, 0.3, 0.2]).log().expand(1000, 3)
    tokens, logp = draw(logits, torch.linspace(0, 0.999, 1000), SamplingParams(1, top_p=0.6))
    assert set(tokens.tolist()) == {0, 1}
    assert logp[0].exp().item() == pytest.approx(0.5)


def test_progress_may_stop_it(sampler, monkeypatch):
    monkeypatch.setattr("kos.engine.sampling.PROGRESS_SECONDS", 0)

    def stop(*_):
        raise CancelledError

    with pytest.raises(CancelledError):
        sampler.sample(PROMPTS, SamplingParams(50), on_progress=stop)


def test_a_prompt_that_leaves_no_room_is_refused(sampler):
    with pytest.raises(UserError, match="context ends at 1024"):
        sampler.sample([[1] * 1000], SamplingParams(100))
