from __future__ import annotations

import pytest
import torch

from kos.config import Adam, Sampling, Sft, Train
from kos.engine.machine import Machine
from kos.errors import CancelledError, UserError
from kos.events import Checkpointed, LocalJob, RolloutDone, Saved, StepDone
from kos.rl import checkpoints
from kos.rl.sft import sft
from kos.rl.train import train
from tests.kos.engine import tiny
from tests.kos.rl.running import LORA, TRAIN, run, stop_at, weights

SFT = Sft(epochs=2, batch_size=2, lora=LORA, adam=Adam(learning_rate=1e-2))


@pytest.fixture(autouse=True)
def small_machine(monkeypatch):
    monkeypatch.setattr(checkpoints, "probe", lambda: tiny.MACHINE)


@pytest.fixture
def inputs(policy, dataset):
    return {"base": policy, "dataset": dataset}


@pytest.mark.parametrize(
    ("kind", "number"), [(StepDone, 1), (Checkpointed, 1), (RolloutDone, 30), (Checkpointed, 3)]
)
def test_an_interrupted_training_ends_as_an_unbroken_one(tmp_path, inputs, kind, number):
    unbroken = run(train, TRAIN, tmp_path / "unbroken", inputs)
    with pytest.raises(CancelledError):
        run(train, TRAIN, tmp_path / "broken", inputs, stop_at(kind, number))
    resumed = run(train, TRAIN, tmp_path / "broken", inputs)
    for name, value in weights(unbroken).items():
        assert torch.equal(value, weights(resumed)[name])


def test_an_interrupted_sft_ends_as_an_unbroken_one(tmp_path, inputs, monkeypatch):
    monkeypatch.setattr("kos.rl.sft.CHECKPOINT_SECONDS", 0)
    unbroken = run(sft, SFT, tmp_path / "unbroken", inputs)
    with pytest.raises(CancelledError):
        run(sft, SFT, tmp_path / "broken", inputs, stop_at(StepDone, 3))
    resumed = run(sft, SFT, tmp_path / "broken", inputs)
    for name, value in weights(unbroken).items():
        assert torch.equal(value, weights(resumed)[name])


def test_a_training_says_what_the_console_shows(tmp_path, inputs):
    job = run(train, TRAIN, tmp_path / "run", inputs)
    steps = [event for event in job.events if isinstance(event, StepDone)]
    rollouts = [event for event in job.events if isinstance(event, RolloutDone)]
    assert [event.step for event in steps] == [1, 2, 3, 4]
    assert len(rollouts) == 4 * 3 * 4
    assert {"reward/mean", "kl/sample_train", "loss", "length/output"} <= set(steps[0].metrics)
    [saved] = [event for event in job.events if isinstance(event, Saved)]
    assert (saved.artifact, saved.path) == ("adapter", "adapter")


def test_the_first_substep_is_on_policy(tmp_path, inputs):
    config = TRAIN.model_copy(update={"steps": 1, "substeps": 1})
    job = run(train, config, tmp_path / "run", inputs)
    [step] = [event for event in job.events if isinstance(event, StepDone)]
    assert step.metrics["kl/sample_train"] == pytest.approx(0.0, abs=1e-4)
    assert step.metrics["ratio/clip_fraction"] == 0.0


def test_training_raises_the_reward(tmp_path, inputs):
    faster = {"steps": 10, "group_size": 16, "adam": Adam(learning_rate=3e-2)}
    config = TRAIN.model_copy(update=faster)
    job = run(train, config, tmp_path / "run", inputs)
    rewards = [e.metrics["reward/rubric"] for e in job.events if isinstance(e, StepDone)]
    assert sum(rewards[-3:]) > sum(rewards[:3]) + 0.3


def test_training_goes_on_from_an_adapter(tmp_path, inputs):
    warm = run(sft, SFT, tmp_path / "sft", inputs)
    first = Train(**{**TRAIN.model_dump(), "steps": 1, "adam": Adam(learning_rate=1e-9)})
    job = run(train, first, tmp_path / "run", {**inputs, "adapter": warm.folder / "adapter"})
    for name, value in weights(warm).items():
        torch.testing.assert_close(weights(job)[name], value, atol=1e-6, rtol=0)


def test_temperature_0_is_refused(tmp_path, inputs):
    greedy = TRAIN.model_copy(update={"sampling": Sampling(temperature=0)})
    with pytest.raises(UserError, match="temperature 0"):
        run(train, greedy, tmp_path / "run", inputs)


def test_a_run_goes_on_with_the_machine_it_began_with(tmp_path, monkeypatch):
    job = LocalJob(tmp_path)
    first = checkpoints.Checkpoints(job, 0).machine()
    monkeypatch.setattr(checkpoints, "probe", lambda: Machine("cpu", "bfloat16", 2))
    assert checkpoints.Checkpoints(job, 0).machine() == first
