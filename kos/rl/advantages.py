"""Advantages: how much better an answer was than its group.

Shapes: ``G`` answers to one prompt.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

# Keeps the division finite where all rewards are equal; TRL's value.
EPS = 1e-4


def centre(rewards_G: Sequence[float]) -> list[float]:
    """Reward minus the group's mean; no division by the deviation.

    Source: Kimi k1.5 (arXiv:2501.12599), sec. 2.3.2; as Kos-1 was trained.
    """
    mean = sum(rewards_G) / len(rewards_G)
    return [reward - mean for reward in rewards_G]


def standardise(rewards_G: Sequence[float]) -> list[float]:
    """Reward minus the mean, over the group's sample deviation plus 1e-4.

    Source: GRPO (DeepSeekMath, arXiv:2402.03300), sec. 4.1.2.
    """
    deviation = stdev(rewards_G) if len(rewards_G) > 1 else 0.0
    return [centred / (deviation + EPS) for centred in centre(rewards_G)]


def centre_on_partition(rewards_G: Sequence[float], tau: float) -> list[float]:
    """Reward minus tau log Z, where Z is estimated as the mean of exp(reward / tau).

    Tends to ``centre`` as tau grows. Source: Kimi k1.5 (arXiv:2501.12599), sec. 2.3.2, eq. 2.
    """
    highest = max(rewards_G)
    # The largest exponent is 0, so nothing overflows.
    mean = fmean(math.exp((reward - highest) / tau) for reward in rewards_G)
    log_z = highest + tau * math.log(mean)
    return [reward - log_z for reward in rewards_G]


def best(rewards_G: Sequence[float]) -> list[float]:
    """1 for the best answers of the group, 0 for the others."""
    highest = max(rewards_G)
    return [float(reward == highest) for reward in rewards_G]


def are_equal(rewards_G: Sequence[float]) -> bool:
    """Whether the group teaches nothing because no answer was better than another."""
    return max(rewards_G) == min(rewards_G)
