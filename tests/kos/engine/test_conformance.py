"""The same data and seed on every engine: the same log-probabilities, loss, gradients, weights.

Tolerances: 1e-4 relative on losses, 1e-4 absolute on log-probabilities (float32, other batches),
1e-3 of the largest change on weights, whose first Adam step divides small gradients by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import pytest
import torch
from safetensors.torch import load_file

from kos.config import Adam, Lora
from kos.config.training import LOSSES
from kos.engine.base import SamplingParams
from kos.engine.choices import Local, Tinker, Torchrun
from kos.events import LocalJob
from kos.rl.losses.base import CrossEntropy
from kos.rl.losses.cispo import Cispo
from tests.kos.engine import tiny
from tests.kos.engine.data import batch, datum

# The SDK leaves sockets of its pools to the collector.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]

LORA = Lora(rank=4, alpha=8)
KINDS = ["torchrun", "tinker"]
PROMPTS = [[5, 6, 7], [8, 9], [11, 12, 13, 14]]


@contextmanager
def opened(kind: str, policy, folder) -> Iterator:
    """An engine of ``kind``, as a job opens it."""
    if kind == "tinker" and not find_spec("tinker"):
        pytest.skip("the extra tinker is not installed")
    job = LocalJob(folder, {"base": policy}, seed=3, secrets={"service": "tml-test"})
    with _choice(kind, policy, folder) as choice:
        engine = choice.open(job, tiny.MACHINE, lora=LORA, base=policy)
        try:
            yield engine
        finally:
            engine.close()


@contextmanager
def _choice(kind, policy, folder):
    match kind:
        case "local":
            yield Local()
        case "torchrun":
            yield Torchrun(processes=2, backend="gloo")
        case "tinker":
            from tests.kos.engine.serving import server

            with server(policy, folder / "store") as url:
                yield Tinker(base_url=url, model="tiny", secret="service")


@pytest.fixture(scope="module", params=KINDS)
def other(request, policy, tmp_path_factory):
    with opened(request.param, policy, tmp_path_factory.mktemp(request.param)) as engine:
        engine.save_state(tmp_path_factory.getbasetemp() / f"{request.param}.start", step=0)
        engine.start = tmp_path_factory.getbasetemp() / f"{request.param}.start"
        yield engine


@pytest.fixture
def pair(other, policy, tmp_path):
    """A local engine and another one, both at the same beginning."""
    other.load_state(other.start)
    with opened("local", policy, tmp_path) as local:
        yield local, other


def weights(engine, folder) -> dict[str, torch.Tensor]:
    engine.save_weights(folder)
    return load_file(folder / "adapter_model.safetensors")


def agree(found, wanted) -> None:
    assert found.loss == pytest.approx(wanted.loss, rel=1e-4, abs=1e-4)
    for mine, yours in zip(found.logprobs, wanted.logprobs, strict=True):
        assert mine == pytest.approx(yours, abs=1e-4)


def test_a_new_adapter_is_the_same_and_so_is_what_it_says(pair, tmp_path):
    local, other = pair
    mine, yours = weights(local, tmp_path / "a"), weights(other, tmp_path / "b")
    assert mine.keys() == yours.keys()
    assert all(torch.equal(mine[name], yours[name]) for name in mine)
    agree(other.forward(batch(), Cispo()), local.forward(batch(), Cispo()))
    wanted = local.compute_logprobs([[1, 2, 3], [4, 5]])
    for found, row in zip(other.compute_logprobs([[1, 2, 3], [4, 5]]), wanted, strict=True):
        assert found == pytest.approx(row, abs=1e-4)


@pytest.mark.parametrize("kind", sorted(cls.model_fields["kind"].default for cls in LOSSES))
def test_every_loss_has_the_same_gradient_everywhere(pair, kind):
    loss = LOSSES[kind]()
    local, other = pair
    outputs = [engine.forward_backward(batch(), loss) for engine in (local, other)]
    agree(outputs[1], outputs[0])
    norms = [engine.optim_step(Adam(learning_rate=1e-3))["grad_norm"] for engine in (local, other)]
    assert norms[0] > 0
    assert norms[1] == pytest.approx(norms[0], rel=1e-3)


def test_three_steps_end_in_the_same_weights(pair, tmp_path):
    local, other = pair
    start = weights(local, tmp_path / "start")
    for step in range(3):
        for engine in (local, other):
            engine.forward_backward(batch(), Cispo())
            engine.forward_backward([datum(5 + step)], CrossEntropy())
            engine.optim_step(Adam(learning_rate=1e-3, clip_norm=1.0))
    mine, yours = weights(local, tmp_path / "a"), weights(other, tmp_path / "b")
    moved = max(float((mine[name] - start[name]).abs().max()) for name in mine)
    assert moved > 1e-3
    for name in mine:
        torch.testing.assert_close(yours[name], mine[name], atol=1e-3 * moved, rtol=1e-3)
    agree(other.forward(batch(), Cispo()), local.forward(batch(), Cispo()))


def test_the_same_seed_draws_the_same_answers(pair):
    local, other = pair
    params = SamplingParams(max_tokens=12, seed=4)
    wanted = local.sample(PROMPTS, params, num_samples=3)
    found = other.sample(PROMPTS, params, num_samples=3)
    assert [[one.tokens for one in row] for row in found] == [
        [one.tokens for one in row] for row in wanted
    ]
    assert found[0][0].logprobs == pytest.approx(wanted[0][0].logprobs, abs=1e-4)


def test_an_update_reaches_the_sampler(pair):
    _, other = pair
    params = SamplingParams(max_tokens=6, temperature=0)
    ((before,),) = other.sample([[5, 6, 7]], params)
    other.forward_backward([datum(6)], CrossEntropy())
    other.optim_step(Adam(learning_rate=0.05))
    ((after,),) = other.sample([[5, 6, 7]], params)
    assert after.tokens != before.tokens


def test_a_checkpoint_goes_on_with_its_moments_and_its_memory(pair, tmp_path):
    _, other = pair
    for _ in range(2):
        other.forward_backward(batch(), Cispo())
        other.optim_step(Adam(learning_rate=1e-3))
    version = other.version
    other.save_state(tmp_path / "state", step=2, memory={"queue": [1]})
    other.forward_backward(batch(), Cispo())
    other.optim_step(Adam(learning_rate=1e-3))
    wanted = other.forward(batch(), Cispo())
    assert other.load_state(tmp_path / "state") == (2, {"queue": [1]})
    assert other.version == version
    other.forward_backward(batch(), Cispo())
    other.optim_step(Adam(learning_rate=1e-3))
    agree(other.forward(batch(), Cispo()), wanted)


def test_a_reset_optimiser_steps_as_the_first_time(pair):
    local, other = pair
    for engine in (local, other):
        for _ in range(2):
            engine.forward_backward(batch(), Cispo())
            engine.optim_step(Adam(learning_rate=1e-2))
        engine.reset_optimiser()
        engine.forward_backward([datum(8, advantage=-1.0)], Cispo())
        engine.optim_step(Adam(learning_rate=1e-2))
    agree(other.forward(batch(), Cispo()), local.forward(batch(), Cispo()))


def test_engines_say_what_they_can_and_where(pair):
    local, other = pair
    assert {"lora", "sample", "forward", "custom_loss"} <= other.capabilities <= local.capabilities
    assert other.describe() != local.describe()
