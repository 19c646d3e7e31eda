"""A run that is stopped anywhere and taken up again ends in the bits of an unbroken one."""

from __future__ import annotations

from typing import Literal

import pytest
import torch

from kos.config import Train
from kos.config.training import Rollouts, Tools
from kos.errors import CancelledError, UserError
from kos.events import Checkpointed, Progress, RolloutDone, StepDone
from kos.rl import checkpoints, selfcheck
from kos.rl.prompts.base import PromptSampler
from kos.rl.prompts.prioritised import Prioritised
from kos.rl.rewards.base import Stage
from kos.rl.rewards.toggle import Toggle
from kos.rl.train import train
from tests.kos.engine import tiny
from tests.kos.rl.running import TRAIN, notes, rollouts, run, steps, stop_at, weights


class Growing(Stage):
    """What it gives depends on how often it was asked: it must remember that."""

    kind: Literal["growing"] = "growing"

    def parts(self, outcomes_G, situation):
        count = situation.memory["count"] = situation.memory.get("count", 0) + 1
        return [{"growing": count * place / 10} for place in range(len(outcomes_G))]


class Onward(PromptSampler):
    """Goes on where the record ends."""

    kind: Literal["onward"] = "onward"

    def pick(self, tasks, count, *, step, num_steps, seed, record):
        start = sum(map(len, record.scores.values()))
        return [(start + number) % len(tasks) for number in range(count)]


SMALL = {"groups": 2, "group_size": 3}
WAYS = {
    "partial": {"rollouts": Rollouts(token_budget=3)},
    "partial, corrected": {"rollouts": Rollouts(token_budget=5, old_segments="correct")},
    "ahead": {"rollouts": Rollouts(ahead=2)},
    "refill": {"rollouts": Rollouts(equal_groups="refill")},
    "prioritised": {"prompts": Prioritised()},
    "record": {"prompts": Onward()},
    "stages": {"rewards": (Toggle(iterations=1, threshold=0.3), Growing())},
    "tools": {"tools": Tools(names=("search_icd",), share=0.5, max_turns=1, max_context=1000)},
}
STOPS = [
    ("partial", Checkpointed, 2),
    ("partial", Progress, 9),
    ("partial, corrected", StepDone, 3),
    ("ahead", Checkpointed, 1),
    ("ahead", RolloutDone, 20),
    ("refill", StepDone, 2),
    ("prioritised", RolloutDone, 15),
    ("record", RolloutDone, 15),
    ("stages", Checkpointed, 3),
    ("tools", StepDone, 2),
]


@pytest.fixture(autouse=True)
def small_machine(monkeypatch):
    monkeypatch.setattr(checkpoints, "probe", lambda: tiny.MACHINE)


@pytest.fixture(scope="module")
def inputs(policy, dataset):
    return {"base": policy, "dataset": dataset}


def told(job):
    """The last word on every rollout and step, but for clocks."""
    last = {(one.step, one.example_id, one.sample): one.reward for one in rollouts(job)}
    clocks = ("time", "total/time", "tokens/per_second")
    numbers = {
        one.step: {k: v for k, v in one.metrics.items() if not k.startswith(clocks)}
        for one in steps(job)
    }
    return last, numbers


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, inputs):
    """Each way once, however often it is stopped."""
    found = {}

    def get(way):
        if way not in found:
            config = TRAIN.model_copy(update={**SMALL, **WAYS[way]})
            folder = tmp_path_factory.mktemp("unbroken") / "run"
            found[way] = run(train, config, folder, inputs)
        return found[way]

    return get


@pytest.mark.parametrize(("way", "kind", "number"), STOPS)
def test_an_interrupted_run_ends_as_an_unbroken_one(tmp_path, inputs, unbroken, way, kind, number):
    config = TRAIN.model_copy(update={**SMALL, **WAYS[way]})
    whole = unbroken(way)
    with pytest.raises(CancelledError):
        run(train, config, tmp_path / "run", inputs, stop_at(kind, number))
    resumed = run(train, config, tmp_path / "run", inputs)
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(resumed)[name])
    rewards, numbers = told(resumed)
    assert rewards.items() <= told(whole)[0].items()
    assert numbers.items() <= told(whole)[1].items()


def test_a_resumed_run_says_that_sampler_and_trainer_agree(tmp_path, inputs):
    with pytest.raises(CancelledError):
        run(train, TRAIN, tmp_path, inputs, stop_at(Checkpointed, 1))
    said = notes(run(train, TRAIN, tmp_path, inputs))
    assert any("sampler and trainer agree within 0.0000" in text for text in said)


def test_a_resume_with_other_weights_is_refused(tmp_path, inputs, monkeypatch):
    with pytest.raises(CancelledError):
        run(train, TRAIN, tmp_path, inputs, stop_at(Checkpointed, 1))
    found = selfcheck.fingerprint
    monkeypatch.setattr(selfcheck, "fingerprint", lambda engine: [x - 1 for x in found(engine)])
    with pytest.raises(UserError, match="not what they were"):
        run(train, TRAIN, tmp_path, inputs)


def test_a_sampler_with_other_weights_is_refused(tmp_path, inputs, monkeypatch):
    from kos.engine.local import LocalEngine

    with pytest.raises(CancelledError):
        run(train, TRAIN, tmp_path, inputs, stop_at(Checkpointed, 1))
    stale = LocalEngine._synced_sampler

    def forgetful(engine):
        engine._is_synced = engine._sampler is not None
        sampler = stale(engine)
        sampler.model.lm_head.weight.data.mul_(0.5)
        return sampler

    monkeypatch.setattr(LocalEngine, "_synced_sampler", forgetful)
    with pytest.raises(UserError, match="sampler and trainer disagree"):
        run(train, TRAIN, tmp_path, inputs)


def test_a_run_goes_back_to_a_kept_checkpoint_and_does_the_same_again(tmp_path, inputs):
    config = TRAIN.model_copy(update={"keep_every": 1, "checkpoint_seconds": 1000})
    job = run(train, config, tmp_path, inputs)
    before = weights(job)
    assert checkpoints.kept_steps(tmp_path) == [1, 2, 3, 4]
    checkpoints.go_back(tmp_path, 2)
    assert checkpoints.kept_steps(tmp_path) == [1, 2]
    again = run(train, config, tmp_path, inputs)
    assert [event.step for event in steps(again)] == [3, 4]
    assert all(torch.equal(value, weights(again)[name]) for name, value in before.items())


def test_another_run_goes_on_from_a_kept_checkpoint(tmp_path, inputs):
    config = TRAIN.model_copy(update={"keep_every": 2, "steps": 2})
    first = run(train, config, tmp_path / "first", inputs)
    checkpoints.hand_over(first.folder, 2, tmp_path / "second")
    longer = Train(**{**config.model_dump(), "steps": 3})
    assert [e.step for e in steps(run(train, longer, tmp_path / "second", inputs))] == [3]
    with pytest.raises(UserError, match="checkpoint of its own"):
        checkpoints.hand_over(first.folder, 2, tmp_path / "second")


def test_a_checkpoint_that_was_not_kept_is_named(tmp_path):
    with pytest.raises(UserError, match="No checkpoint of step 3 was kept"):
        checkpoints.go_back(tmp_path, 3)
