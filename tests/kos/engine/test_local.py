from __future__ import annotations

import json

import pytest
import torch

from kos.config import Adam, Lora
from kos.engine import batches
from kos.engine.base import Datum, SamplingParams
from kos.engine.batches import micro_batches
from kos.engine.local import LocalEngine
from kos.errors import UserError
from kos.rl.losses.base import CrossEntropy
from kos.rl.losses.cispo import Cispo
from tests.kos.engine import tiny


def datum(length: int, *, advantage: float = 1.0) -> Datum:
    answer = [(7 * i) % 500 + 1 for i in range(length)]
    return Datum.of_answer([5, 6, 7], answer, advantage=advantage, logprobs=[-6.0] * length)


def gradients(engine) -> list[torch.Tensor]:
    return [w.grad.clone() for w in engine.model.parameters() if w.grad is not None]


def test_a_datum_predicts_each_token_from_those_before_it():
    found = Datum.of_answer([1, 2], [3, 4], advantage=0.5, logprobs=[-1.0, -2.0])
    assert (found.tokens, found.targets, found.mask) == ((1, 2, 3), (2, 3, 4), (0, 1, 1))
    assert found.logprobs == (0.0, -1.0, -2.0)
    assert found.advantages == (0.0, 0.5, 0.5)


def test_gradients_do_not_depend_on_the_micro_batches(engine):
    data = [datum(n, advantage=n - 9) for n in (4, 9, 17, 6)]
    whole = engine.forward_backward(data, Cispo())
    expected = gradients(engine)
    engine.model.zero_grad()
    parts = [engine.forward_backward([one], Cispo()) for one in data]
    assert sum(part.loss for part in parts) == pytest.approx(whole.loss, rel=1e-5)
    for found, wanted in zip(gradients(engine), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_answers_of_one_token_share_their_prompt_too(engine):
    together = engine.forward([datum(1), datum(1)], CrossEntropy())
    alone = engine.forward([datum(1)], CrossEntropy())
    assert together.loss == pytest.approx(2 * alone.loss, rel=1e-5)


def test_the_loss_is_a_sum_over_tokens(engine):
    one = engine.forward([datum(5)], CrossEntropy()).loss
    assert engine.forward([datum(5)] * 3, CrossEntropy()).loss == pytest.approx(3 * one, rel=1e-5)


def test_micro_batches_hold_every_datum_once(monkeypatch):
    monkeypatch.setattr(batches, "BATCH_TOKENS", 40)
    other = Datum.of_answer([1, 2], [3] * 20, advantage=1.0)
    data = [datum(4), other, datum(30), datum(17), datum(6), datum(5)]
    found = list(micro_batches(data))
    assert sorted(number for batch in found for number in batch.numbers) == [0, 1, 2, 3, 4, 5]
    assert [batch.numbers for batch in found] == [(1,), (2,), (3, 4), (5, 0)]
    assert found[0].prefix == ()
    assert found[1].prefix == (5, 6, 7)


def test_different_prompts_share_what_they_begin_with(engine, monkeypatch):
    monkeypatch.setattr(batches, "MIN_SHARED_TOKENS", 4)
    opening = [11, 12, 13, 14, 15]
    data = [Datum.of_answer([*opening, 20 + i], [3, 4 + i], advantage=1.0) for i in range(3)]
    (batch,) = micro_batches(data)
    assert batch.prefix == (11, 12, 13, 14, 15)
    shared = engine.forward_backward(data, CrossEntropy())
    expected = gradients(engine)
    engine.model.zero_grad()
    alone = [engine.forward_backward([one], CrossEntropy()) for one in data]
    assert shared.loss == pytest.approx(sum(one.loss for one in alone), rel=1e-5)
    for found, wanted in zip(gradients(engine), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_a_frozen_prefix_changes_no_loss_and_is_read_once(policy, monkeypatch):
    engines = [
        LocalEngine.open(
            policy, tiny.MACHINE, lora=Lora(rank=4, alpha=8), seed=1, is_prefix_frozen=frozen
        )
        for frozen in (False, True)
    ]
    data = [datum(4), datum(6), datum(1)]
    whole, frozen = (engine.forward_backward(data, CrossEntropy()).loss for engine in engines)
    assert frozen == pytest.approx(whole, rel=1e-5)
    assert engines[1]._read_prefix is not None
    engines[1].optim_step(Adam())
    assert engines[1]._read_prefix is None


def test_a_step_raises_the_likelihood_of_what_was_rewarded(engine):
    before = engine.forward([datum(8)], CrossEntropy()).loss
    for _ in range(5):
        engine.forward_backward([datum(8)], CrossEntropy())
        engine.optim_step(Adam(learning_rate=1e-2))
    assert engine.forward([datum(8)], CrossEntropy()).loss < before


def test_the_sampler_follows_the_weights(engine):
    engine.forward_backward([datum(8)], CrossEntropy())
    engine.optim_step(Adam(learning_rate=5e-2))
    [[answer]] = engine.sample([[5, 6, 7]], SamplingParams(8, seed=1))
    known = engine.compute_logprobs([[5, 6, 7, *answer.tokens]])[0][2:]
    assert list(answer.logprobs) == pytest.approx(known, abs=1e-3)


def test_a_saved_state_goes_on_bit_for_bit(engine, policy, tmp_path):
    def step(which):
        which.forward_backward([datum(8), datum(5, advantage=-1)], Cispo())
        which.optim_step(Adam(learning_rate=1e-2))

    step(engine)
    engine.save_state(tmp_path / "checkpoint" / "state.pt", step=1)
    step(engine)
    other = LocalEngine.open(policy, tiny.MACHINE, lora=Lora(rank=4, alpha=8), seed=9)
    assert other.load_state(tmp_path / "checkpoint" / "state.pt") == (1, {})
    step(other)
    for one, two in zip(engine.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(one, two)


def test_weights_are_saved_as_a_peft_folder(engine, policy, tmp_path):
    engine.forward_backward([datum(8)], CrossEntropy())
    engine.optim_step(Adam(learning_rate=1e-2))
    engine.save_weights(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (4, 8)
    again = LocalEngine.open(
        policy, tiny.MACHINE, lora=Lora(rank=4, alpha=8), seed=1, adapter=tmp_path
    )
    assert again.compute_logprobs([[5, 6, 7, 8]]) == engine.compute_logprobs([[5, 6, 7, 8]])


def test_an_adapter_of_another_rank_is_refused(engine, policy, tmp_path):
    engine.save_weights(tmp_path)
    with pytest.raises(UserError, match="rank 4"):
        LocalEngine.open(policy, tiny.MACHINE, lora=Lora(rank=8), seed=0, adapter=tmp_path)
