from __future__ import annotations

import pytest
import torch

from kos.config import Adam, Critic, Lora, Sampling
from kos.data import answers as files
from kos.data.answers import GradedAnswer, Said
from kos.errors import CancelledError, UserError
from kos.events import Checkpointed, LocalJob, Saved, StepDone
from kos.rl import checkpoints
from kos.rl.critic.refine import refine
from tests.kos.engine import tiny
from tests.kos.rl.test_train import run, stop_at, weights

CRITIC = Critic(
    iterations=2,
    prompts=6,
    samples=4,
    rubrics=("clarity",),
    mandatory=(),
    batch_size=4,
    lora=Lora(rank=4, alpha=8),
    adam=Adam(learning_rate=1e-2),
    sampling=Sampling(max_tokens=8),
    checkpoint_seconds=0,
)


@pytest.fixture(autouse=True)
def small_machine(monkeypatch):
    monkeypatch.setattr(checkpoints, "probe", lambda: tiny.MACHINE)


@pytest.fixture
def given(policy, tmp_path):
    """Graded answers to twenty prompts, of which the right one always reads alike."""
    rows = [
        GradedAnswer(
            id=f"p{number}",
            messages=(Said(role="user", content=f"{number} or {number}?"),),
            answer=answer,
            score=score,
        )
        for number in range(20)
        for answer, score in (("Rest.", 1.0), ("No no no no no.", 0.0))
    ]
    files.write(tmp_path / "answers.jsonl", rows)
    return {"base": policy, "answers": tmp_path / "answers.jsonl"}


@pytest.fixture
def asked(policy, dataset):
    return {"base": policy, "dataset": dataset}


def summary(job: LocalJob):
    [saved] = [event for event in job.events if isinstance(event, Saved)]
    assert saved.artifact == "adapter"
    return saved.summary


def test_a_critic_that_learns_what_is_right_is_promoted(tmp_path, given):
    config = CRITIC.model_copy(update={"epochs": 2, "prompts": 14})
    job = run(refine, config, tmp_path / "run", given)
    found = summary(job)
    assert found["promoted"], found["why"]
    assert found["agreement"] > found["agreement_before"]
    assert found["why"].startswith("Promoted: the agreement rose from")


def test_every_round_charts_agreement_and_flips(tmp_path, given):
    job = run(refine, CRITIC, tmp_path / "run", given)
    steps = [event for event in job.events if isinstance(event, StepDone)]
    assert [event.step for event in steps] == [1, 2]
    names = {"agreement", "agreement_before", "agreement_low", "agreement_high", "flips", "said_a"}
    assert {f"critic/{name}" for name in names} <= set(steps[0].metrics)


def test_a_critic_that_learnt_next_to_nothing_is_refused_but_kept(tmp_path, given):
    config = CRITIC.model_copy(update={"adam": Adam(learning_rate=1e-12)})
    job = run(refine, config, tmp_path / "run", given)
    assert not summary(job)["promoted"]
    assert "does not lie above no change" in summary(job)["why"]
    assert weights(job)


def test_mandatory_rubrics_are_measured_by_their_probes(tmp_path, given):
    config = CRITIC.model_copy(update={"mandatory": ("no_opening_praise",), "iterations": 1})
    job = run(refine, config, tmp_path / "run", given)
    assert set(summary(job)["mandatory"]) == {"no_opening_praise"}
    [step] = [event for event in job.events if isinstance(event, StepDone)]
    assert (
        step.metrics["mandatory/no_opening_praise"]
        == summary(job)["mandatory"]["no_opening_praise"]
    )


def test_an_interrupted_refinement_ends_as_an_unbroken_one(tmp_path, asked):
    unbroken = run(refine, CRITIC, tmp_path / "unbroken", asked)
    with pytest.raises(CancelledError):
        run(refine, CRITIC, tmp_path / "broken", asked, stop_at(Checkpointed, 1))
    resumed = run(refine, CRITIC, tmp_path / "broken", asked)
    assert summary(resumed) == summary(unbroken)
    for name, value in weights(unbroken).items():
        assert torch.equal(value, weights(resumed)[name])


def test_answers_that_are_all_right_teach_nothing(tmp_path, given):
    rows = files.read(given["answers"], GradedAnswer)
    files.write(given["answers"], [row for row in rows if row.score])
    with pytest.raises(UserError, match="none of the 6 held-out prompts has a right and a wrong"):
        run(refine, CRITIC, tmp_path / "run", given)


def test_a_critic_needs_something_to_refine_on(tmp_path, policy):
    with pytest.raises(UserError, match="give graded answers, or a dataset"):
        run(refine, CRITIC, tmp_path / "run", {"base": policy})


def test_answers_and_a_dataset_together_are_refused(tmp_path, given, dataset):
    with pytest.raises(UserError, match="not both"):
        run(refine, CRITIC, tmp_path / "run", {**given, "dataset": dataset})
