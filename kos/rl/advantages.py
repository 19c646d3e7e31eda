"""Advantages: how much better an answer was than its group.

Shapes: ``G`` answers to one prompt.
"""

from __future__ import annotations

from collections.abc import Sequence


def centre(rewards_G: Sequence[float]) -> list[float]:
    """Reward minus the group's mean; no division by the deviation.

    Source: Kimi k1.5 (arXiv:2501.12599), sec. 2.3.2; as Kos-1 was trained.
    """
    mean = sum(rewards_G) / len(rewards_G)
    return [reward - mean for reward in rewards_G]


def are_equal(rewards_G: Sequence[float]) -> bool:
    """Whether the group teaches nothing because no answer was better than another."""
    return max(rewards_G) == min(rewards_G)
