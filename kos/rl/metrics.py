"""The numbers of a step, by the names the console charts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean, pstdev

from kos.engine.base import Datum
from kos.rl.losses import Cispo, Loss
from kos.rl.rewards import Reward
from kos.rl.rollouts import Group


def of_groups(groups: Sequence[Group], reward: Reward) -> dict[str, float]:
    """Rewards, gate and lengths, over the graded rollouts; lengths over all."""
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    graded = [rollout for group in groups for rollout in group.graded]
    rewards = [sum(rollout.components.values()) for rollout in graded]
    scores = [rollout.components.get("rubric", 0.0) for rollout in graded]
    return {
        "reward/mean": mean(rewards),
        "reward/std": pstdev(rewards) if rewards else 0.0,
        "reward/rubric": mean(scores),
        "bonus/share": 1 - sum(scores) / sum(rewards) if sum(rewards) else 0.0,
        "gate/pass_rate": mean(float(reward.passes(score)) for score in scores),
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
    pairs = [
        (trained, sampled)
        for datum, row in zip(data, logprobs, strict=True)
        for trained, sampled in zip(row, _actions(datum), strict=True)
    ]
    return {
        "kl/sample_train": mean(q - p for p, q in pairs),
        "kl/sample_train_v2": mean((q - p) ** 2 / 2 for p, q in pairs),
        "ratio/clip_fraction": _clip_fraction([p - q for p, q in pairs], loss),
        "entropy": mean(-q for _, q in pairs),
    }


def mean(values: Iterable[float]) -> float:
    """Their mean, 0 when there are none."""
    known = list(values)
    return fmean(known) if known else 0.0


def _actions(datum: Datum) -> list[float]:
    return [q for q, masked in zip(datum.logprobs, datum.mask, strict=True) if masked]


def _clip_fraction(log_ratios: Sequence[float], loss: Loss) -> float:
    if not isinstance(loss, Cispo):
        return 0.0
    return mean(float(loss.is_outside(log_ratio)) for log_ratio in log_ratios)
