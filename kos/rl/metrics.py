"""The numbers of a step, by the names the console charts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import ceil, sqrt
from statistics import fmean, pstdev, pvariance

from kos.engine.base import Datum
from kos.rl.losses.base import Loss
from kos.rl.rewards.base import RUBRIC
from kos.rl.rollouts import Group, Rollout

PERCENTILES = (50, 90, 99)


def of_groups(groups: Sequence[Group]) -> dict[str, float]:
    """Rewards and lengths, over the graded rollouts; lengths and stops over all."""
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    graded = [rollout for group in groups for rollout in group.graded]
    rewards = [rollout.reward or 0.0 for rollout in graded]
    parts = _parts(graded)
    rubric = parts.get(RUBRIC, 0.0)
    return {
        "reward/mean": mean(rewards),
        "reward/std": pstdev(rewards) if rewards else 0.0,
        "reward/rubric": rubric,
        **{f"reward/part/{name}": value for name, value in parts.items()},
        "bonus/share": 1 - rubric / mean(rewards) if mean(rewards) else 0.0,
        "groups/equal": mean(float(group.is_equal) for group in groups),
        "groups/count": float(len(groups)),
        "ungraded": 1 - len(graded) / len(rollouts) if rollouts else 0.0,
        **_variances(groups),
        **of_lengths(rollouts),
        **of_stops(rollouts),
        **_stage_numbers(groups),
    }


def of_lengths(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """Both channels: all that was generated, and the visible answer."""
    channels = {
        "length/response": sorted(rollout.num_tokens for rollout in rollouts),
        "length/output": sorted(rollout.num_answer_tokens for rollout in rollouts),
    }
    numbers = {name: mean(lengths) for name, lengths in channels.items()}
    for name, lengths in channels.items():
        for share in PERCENTILES if lengths else ():
            # Nearest rank: a length that an answer really had.
            numbers[f"{name}/p{share}"] = float(lengths[ceil(share / 100 * len(lengths)) - 1])
    return numbers


def of_stops(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """How many ended in which way, as shares."""
    counts = Counter(rollout.stop_reason for rollout in rollouts)
    shares = {f"stop/{reason}": n / len(rollouts) for reason, n in sorted(counts.items())}
    return {"length/cut": shares.get("stop/length", 0.0), **shares}


def of_update(
    data: Sequence[Datum], logprobs: Sequence[Sequence[float]], loss: Loss
) -> dict[str, float]:
    """How far the trainer's log-probabilities p are from the sampler's q, over action tokens.

    ``kl/sample_train`` is the mean of q - p, ``..._v2`` half the mean square, ``kl/correlation``
    Pearson's of p and q; ``entropy`` the mean of -q, an estimate for answers sampled at the
    temperature.
    """
    tokens = [
        (trained, sampled, advantage)
        for datum, row in zip(data, logprobs, strict=True)
        for trained, (sampled, advantage) in zip(row, _actions(datum), strict=True)
    ]
    return {
        "kl/sample_train": mean(q - p for p, q, _ in tokens),
        "kl/sample_train_v2": mean((q - p) ** 2 / 2 for p, q, _ in tokens),
        "kl/correlation": correlation([p for p, _, _ in tokens], [q for _, q, _ in tokens]),
        "ratio/clip_fraction": mean(float(loss.is_clipped(p - q, a)) for p, q, a in tokens),
        "entropy": mean(-q for _, q, _ in tokens),
    }


def of_substep(numbers: dict[str, float], number: int) -> dict[str, float]:
    """The numbers of the ``number``-th optimiser step of an iteration (1, 2, ...) by its name."""
    return {
        f"kl/substep/{number}": numbers["kl/sample_train"],
        f"kl/v2/substep/{number}": numbers["kl/sample_train_v2"],
        f"kl/correlation/substep/{number}": numbers["kl/correlation"],
        f"ratio/substep/{number}": numbers["ratio/clip_fraction"],
        f"entropy/substep/{number}": numbers["entropy"],
    }


def correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Pearson's correlation; 1 where both are constant and equal, 0 where it is undefined."""
    if len(first) < 2:
        return 1.0 if list(first) == list(second) else 0.0
    a, b = fmean(first), fmean(second)
    covariance = sum((x - a) * (y - b) for x, y in zip(first, second, strict=True))
    spread = sqrt(sum((x - a) ** 2 for x in first) * sum((y - b) ** 2 for y in second))
    if spread:
        return covariance / spread
    return 1.0 if list(first) == list(second) else 0.0


def mean(values: Iterable[float]) -> float:
    """Their mean, 0 when there are none."""
    known = list(values)
    return fmean(known) if known else 0.0


def _parts(graded: Sequence[Rollout]) -> dict[str, float]:
    """The mean of every component; one that an answer lacks counts as 0 there."""
    names = {name: None for rollout in graded for name in rollout.components or {}}
    return {
        name: mean((rollout.components or {}).get(name, 0.0) for rollout in graded)
        for name in names
    }


def _variances(groups: Sequence[Group]) -> dict[str, float]:
    """Where the differences within a group come from: the rubric, or all that was added to it.

    Means of the groups' variances; what the two share (twice their covariance) is the rest of
    ``variance/reward``.
    """
    rubric, bonus, total = [], [], []
    for group in groups:
        scores = [(rollout.components or {}).get(RUBRIC, 0.0) for rollout in group.graded]
        if len(scores) < 2:
            continue
        rewards = group.rewards
        rubric.append(pvariance(scores))
        bonus.append(pvariance([r - s for r, s in zip(rewards, scores, strict=True)]))
        total.append(pvariance(rewards))
    return {
        "variance/rubric": mean(rubric),
        "variance/bonus": mean(bonus),
        "variance/reward": mean(total),
    }


def _stage_numbers(groups: Sequence[Group]) -> dict[str, float]:
    """What the reward stages tell, averaged over the groups that have it."""
    names = {name: None for group in groups for name in group.numbers or {}}
    return {
        name: mean(
            group.numbers[name] for group in groups if group.numbers and name in group.numbers
        )
        for name in names
    }


def _actions(datum: Datum) -> list[tuple[float, float]]:
    fields = zip(datum.logprobs, datum.advantages, datum.mask, strict=True)
    return [(q, advantage) for q, advantage, masked in fields if masked]
