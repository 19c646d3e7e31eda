"""The numbers of a step, by the names the console charts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean, pstdev

from kos.engine.base import Datum
from kos.rl.losses.base import Loss
from kos.rl.rewards.base import RUBRIC
from kos.rl.rollouts import Group


def of_groups(groups: Sequence[Group]) -> dict[str, float]:
    """Rewards and lengths, over the graded rollouts; lengths over all."""
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    graded = [rollout for group in groups for rollout in group.graded]
    rewards = [sum(rollout.components.values()) for rollout in graded]
    scores = [rollout.components.get(RUBRIC, 0.0) for rollout in graded]
    return {
        "reward/mean": mean(rewards),
        "reward/std": pstdev(rewards) if rewards else 0.0,
        "reward/rubric": mean(scores),
        "bonus/share": 1 - sum(scores) / sum(rewards) if sum(rewards) else 0.0,
        "length/response": mean(rollout.num_tokens for rollout in rollouts),
        "length/output": mean(rollout.num_answer_tokens for rollout in rollouts),
        "length/cut": mean(float(r.sampled.stop_reason == "length") for r in rollouts),
        "groups/equal": mean(float(group.is_equal) for group in groups),
        "ungraded": 1 - len(graded) / len(rollouts),
    }


def of_update(
    data: Sequence[Datum], logprobs: Sequence[Sequence[float]], loss: Loss
) -> dict[str, float]:
    """How far the trainer's log-probabilities p are from the sampler's q, over action tokens.

    ``kl/sample_train`` is the mean of q - p, ``..._v2`` half the mean square; ``entropy`` the
    mean of -q, an estimate for answers sampled at the temperature.
    """
    tokens = [
        (trained, sampled, advantage)
        for datum, row in zip(data, logprobs, strict=True)
        for trained, (sampled, advantage) in zip(row, _actions(datum), strict=True)
    ]
    return {
        "kl/sample_train": mean(q - p for p, q, _ in tokens),
        "kl/sample_train_v2": mean((q - p) ** 2 / 2 for p, q, _ in tokens),
        "ratio/clip_fraction": mean(float(loss.is_clipped(p - q, a)) for p, q, a in tokens),
        "entropy": mean(-q for _, q, _ in tokens),
    }


def mean(values: Iterable[float]) -> float:
    """Their mean, 0 when there are none."""
    known = list(values)
    return fmean(known) if known else 0.0


def _actions(datum: Datum) -> list[tuple[float, float]]:
    fields = zip(datum.logprobs, datum.advantages, datum.mask, strict=True)
    return [(q, advantage) for q, advantage, masked in fields if masked]
