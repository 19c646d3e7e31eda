from __future__ import annotations

import importlib
import importlib.util
import math
import sys
import types
from pathlib import Path

import pytest
import torch

from kos.config import Adam, Dpo, Lora
from kos.data import answers as files
from kos.data.answers import PreferencePair, Said
from kos.engine.base import Datum
from kos.engine.local import LocalEngine
from kos.errors import CancelledError, UserError
from kos.events import Checkpointed, LocalJob, Progress, Saved, StepDone
from kos.rl import checkpoints
from kos.rl.dpo import Both, Pair, dpo, log_probabilities, sigmoid_loss, weighted
from kos.rl.losses.base import CrossEntropy
from tests.kos.engine import tiny
from tests.kos.rl.test_train import run, stop_at, weights

LORA = Lora(rank=4, alpha=8)
DPO = Dpo(epochs=2, batch_size=2, lora=LORA, adam=Adam(learning_rate=1e-2), checkpoint_seconds=0)
NO_REFERENCE = Both(0.0, 0.0)


@pytest.fixture(autouse=True)
def small_machine(monkeypatch):
    monkeypatch.setattr(checkpoints, "probe", lambda: tiny.MACHINE)


@pytest.fixture
def inputs(policy, tmp_path):
    rows = [
        PreferencePair(
            id=f"p{number}",
            messages=(Said(role="user", content="Say it." * number),),
            chosen="Rest." * number,
            rejected="Fluids and rest, and more of it." * number,
        )
        for number in (1, 2, 3)
    ]
    files.write(tmp_path / "pairs.jsonl", rows)
    return {"base": policy, "pairs": tmp_path / "pairs.jsonl"}


def open_engine(policy) -> LocalEngine:
    engine = LocalEngine.open(policy, tiny.MACHINE, lora=LORA, seed=0)
    for name, weight in engine.model.named_parameters():
        if "lora_B" in name:  # of zeros A would have no gradient
            torch.manual_seed(len(name))
            weight.data.normal_(0, 0.1)
    return engine


def pairs_of(engine) -> list[Pair]:
    texts = [("Say it.", "Rest.", "Fluids and rest."), ("Which?", "Fluids.", "No.")]
    return [
        Pair(
            *(
                Datum.of_answer(
                    engine.chat.encode([{"role": "user", "content": asked}]),
                    engine.chat.encode_answer(text),
                    advantage=1.0,
                )
                for text in both
            )
        )
        for asked, *both in texts
    ]


def test_the_loss_is_equation_7():
    term = sigmoid_loss(Both(-5.0, -9.0), Both(-6.0, -7.0), beta=0.1)
    assert term.margin == pytest.approx(0.1 * ((-5 + 6) - (-9 + 7)))
    assert term.loss == pytest.approx(-math.log(1 / (1 + math.exp(-0.3))))


def test_a_policy_that_is_its_reference_has_the_loss_of_a_coin():
    assert sigmoid_loss(Both(-3, -4), Both(-3, -4), beta=0.5).loss == pytest.approx(math.log(2))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("margin", [-800.0, -2.0, 0.0, 0.7, 800.0])
def test_the_slope_is_the_derivative_by_finite_differences(margin, smoothing):
    def loss(z: float) -> float:
        return sigmoid_loss(Both(z, 0), NO_REFERENCE, beta=1, label_smoothing=smoothing).loss

    slope = sigmoid_loss(Both(margin, 0), NO_REFERENCE, beta=1, label_smoothing=smoothing).slope
    assert slope == pytest.approx((loss(margin + 1e-5) - loss(margin - 1e-5)) / 2e-5, abs=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss_and_gradient_are_those_of_autograd(smoothing):
    torch.manual_seed(0)
    chosen, rejected, ref_c, ref_r = torch.randn(4, 5, dtype=torch.float64).unbind()
    chosen.requires_grad_()
    z = 0.3 * ((chosen - ref_c) - (rejected - ref_r))
    sigmoid = torch.nn.functional.logsigmoid
    loss = -(1 - smoothing) * sigmoid(z) - smoothing * sigmoid(-z)
    loss.mean().backward()
    rows = zip(*(one.tolist() for one in (chosen, rejected, ref_c, ref_r)), strict=True)
    terms = [
        sigmoid_loss(Both(c, r), Both(rc, rr), beta=0.3, label_smoothing=smoothing)
        for c, r, rc, rr in rows
    ]
    assert [term.loss for term in terms] == pytest.approx(loss.tolist())
    assert [0.3 * term.slope / 5 for term in terms] == pytest.approx(chosen.grad.tolist())


@pytest.fixture
def liger(monkeypatch):
    """Liger's pure loss. Its package's own start wants a GPU's compiler, so it is gone around."""
    found = importlib.util.find_spec("liger_kernel")
    if found is None or found.submodule_search_locations is None:
        pytest.skip("liger-kernel is not installed")
    root = Path(found.submodule_search_locations[0])
    for name, folder in (("", root), (".chunked_loss", root / "chunked_loss")):
        package = types.ModuleType(f"liger_kernel{name}")
        package.__path__ = [str(folder)]
        monkeypatch.setitem(sys.modules, package.__name__, package)
    module = importlib.import_module("liger_kernel.chunked_loss.dpo_loss")
    return module.LigerFusedLinearDPOFunction.preference_loss_fn


def test_the_loss_is_ligers(liger):
    torch.manual_seed(1)
    chosen, rejected, ref_c, ref_r = torch.randn(4, 6).unbind()
    targets = torch.zeros(12)  # two sequences a pair: what Liger counts pairs by
    loss, *_ = liger(chosen, rejected, targets, ref_c, ref_r, beta=0.1)
    rows = zip(*(one.tolist() for one in (chosen, rejected, ref_c, ref_r)), strict=True)
    ours = [sigmoid_loss(Both(c, r), Both(rc, rr), beta=0.1).loss for c, r, rc, rr in rows]
    assert sum(ours) / 6 == pytest.approx(float(loss), abs=1e-6)


def test_the_engines_gradient_is_that_of_the_joint_loss(policy):
    """Forward, then weighted cross-entropy, against autograd through the whole loss at once."""
    engine = open_engine(policy)
    pairs = pairs_of(engine)
    references = [Both(-20.0, -30.0), Both(-25.0, -10.0)]
    terms = [
        sigmoid_loss(found, reference, beta=0.2, label_smoothing=0.1)
        for found, reference in zip(log_probabilities(engine, pairs), references, strict=True)
    ]
    engine.forward_backward(weighted(pairs, terms, beta=0.2), CrossEntropy())
    ours = gradients(engine)
    loss = torch.zeros(())
    for pair, reference in zip(pairs, references, strict=True):
        chosen, rejected = (summed_logprobs(engine, datum) for datum in pair)
        z = 0.2 * ((chosen - reference.chosen) - (rejected - reference.rejected))
        sigmoid = torch.nn.functional.logsigmoid
        loss = loss - (0.9 * sigmoid(z) + 0.1 * sigmoid(-z)) / len(pairs)
    engine.model.zero_grad()
    loss.backward()
    assert float(loss.detach()) == pytest.approx(sum(term.loss for term in terms) / 2, abs=1e-5)
    for name, gradient in gradients(engine).items():
        torch.testing.assert_close(ours[name], gradient, atol=1e-6, rtol=1e-3)


def gradients(engine) -> dict[str, torch.Tensor]:
    found = engine.model.named_parameters()
    return {name: one.grad.clone() for name, one in found if one.grad is not None}


def summed_logprobs(engine, datum: Datum) -> torch.Tensor:
    logits = engine.model(input_ids=torch.tensor([datum.tokens])).logits[0]
    logp = logits.log_softmax(-1).gather(-1, torch.tensor(datum.targets)[:, None])[:, 0]
    return (logp * torch.tensor(datum.mask)).sum()


@pytest.mark.parametrize(("kind", "number"), [(Progress, 2), (StepDone, 2), (Checkpointed, 3)])
def test_an_interrupted_run_ends_as_an_unbroken_one(tmp_path, inputs, kind, number):
    unbroken = run(dpo, DPO, tmp_path / "unbroken", inputs)
    with pytest.raises(CancelledError):
        run(dpo, DPO, tmp_path / "broken", inputs, stop_at(kind, number))
    resumed = run(dpo, DPO, tmp_path / "broken", inputs)
    for name, value in weights(unbroken).items():
        assert torch.equal(value, weights(resumed)[name])


def steps_of(job: LocalJob) -> list[StepDone]:
    return [event for event in job.events if isinstance(event, StepDone)]


def test_it_comes_to_prefer_what_was_chosen(tmp_path, inputs):
    config = DPO.model_copy(update={"epochs": 10, "beta": 0.5})
    job = run(dpo, config, tmp_path / "run", inputs)
    first, *_, last = steps_of(job)
    assert first.metrics["loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert first.metrics["reward/margin"] == pytest.approx(0, abs=1e-3)
    assert last.metrics["reward/accuracy"] == 1.0
    assert last.metrics["reward/margin"] > 1
    [saved] = [event for event in job.events if isinstance(event, Saved)]
    assert (saved.artifact, saved.summary["pairs"]) == ("adapter", 3)


def test_the_reference_is_the_adapter_as_it_was(tmp_path, inputs):
    first = run(dpo, DPO, tmp_path / "first", inputs)
    again = {**inputs, "adapter": first.folder / "adapter"}
    second = run(dpo, DPO, tmp_path / "second", again)
    assert steps_of(second)[0].metrics["reward/margin"] == pytest.approx(0, abs=1e-3)


def test_a_cut_answer_has_no_ending_to_unlearn(policy):
    from kos.rl.dpo import _pair

    engine = open_engine(policy)
    row = PreferencePair(
        id="p", messages=(Said(role="user", content="?"),), chosen="Rest.", rejected="On and on",
        is_rejected_cut=True,
    )  # fmt: skip
    cut = _pair(DPO, row, engine.chat)
    whole = _pair(DPO, row.model_copy(update={"is_rejected_cut": False}), engine.chat)
    assert whole.rejected.targets[:-1] == cut.rejected.targets
    assert whole.rejected.targets[-1] == engine.chat.tokenizer.eos_token_id


def test_pairs_that_are_all_too_long_are_refused(tmp_path, inputs):
    with pytest.raises(UserError, match="none of the 3 pairs fits into 16 tokens"):
        run(dpo, DPO.model_copy(update={"max_length": 16}), tmp_path / "run", inputs)


def test_a_line_that_is_no_pair_is_named(tmp_path, inputs):
    (tmp_path / "pairs.jsonl").write_text('{"id": "x"}\n')
    with pytest.raises(UserError, match=r"line 1 of pairs.jsonl cannot be read \(messages"):
        run(dpo, DPO, tmp_path / "run", inputs)
