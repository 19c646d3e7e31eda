"""Self-critique within the training loop: the policy judges what it has just said."""

from __future__ import annotations

import pytest

from kos.config import Adam, Lora, Sampling, Train
from kos.events import RolloutDone, StepDone
from kos.rl import checkpoints
from kos.rl.rewards.self_critique import SelfCritique
from kos.rl.train import train
from tests.kos.engine import tiny
from tests.kos.rl.test_train import run

TRAIN = Train(
    steps=1,
    groups=2,
    group_size=3,
    substeps=1,
    rewards=(SelfCritique(weight=0.5, rubrics=("clarity",), mandatory=("no_opening_praise",)),),
    lora=Lora(rank=4, alpha=8),
    adam=Adam(learning_rate=1e-3),
    sampling=Sampling(max_tokens=6),
)


@pytest.fixture(autouse=True)
def small_machine(monkeypatch):
    monkeypatch.setattr(checkpoints, "probe", lambda: tiny.MACHINE)


def test_the_critique_is_a_part_of_the_reward_and_charted(tmp_path, policy, dataset):
    job = run(train, TRAIN, tmp_path / "run", {"base": policy, "dataset": dataset})
    rollouts = [event for event in job.events if isinstance(event, RolloutDone)]
    critiques = [one.components["critique"] for one in rollouts]
    assert len(critiques) == 6
    assert all(0 <= critique <= 0.5 for critique in critiques)
    # Every win is somebody's loss: a group's win rates are a half on average.
    assert sum(critiques[:3]) / 3 == pytest.approx(0.25)
    [step] = [event for event in job.events if isinstance(event, StepDone)]
    assert 0 <= step.metrics["critic/flips"] <= 1
    assert step.metrics["critic/unreadable"] == 0
