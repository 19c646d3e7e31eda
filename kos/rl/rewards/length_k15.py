"""Kimi k1.5's length reward: within a group, short right answers gain and long ones lose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from kos.rl.rewards.base import STAGES, Outcome, Parts, Situation, Stage


@STAGES.register
class LengthK15(Stage):
    """Length reward of Kimi k1.5: the group's shortest right answer gains most.

    lambda = 0.5 - (len - min) / (max - min) over the group's lengths, thinking included; a right
    answer gets weight * lambda, a wrong one weight * min(0, lambda), all 0 when the lengths are
    equal. Source: Kimi k1.5 (arXiv:2501.12599), sec. 2.3.3, where answers are right or wrong;
    a graded one counts as right from ``gate`` on. The weight is not published.
    """

    kind: Literal["length_k15"] = "length_k15"
    gate: float = Field(0.68, ge=0, le=1, description="From this rubric score on it is right.")
    weight: float = Field(0.2, ge=0, description="What the whole difference is worth.")
    warm_up: float = Field(
        0.3, ge=0, le=1, description="Share of the training before the length counts."
    )

    def parts(self, outcomes_G: Sequence[Outcome], situation: Situation) -> Sequence[Parts]:
        """``length``, in [-weight / 2, weight / 2]."""
        if situation.progress < self.warm_up:
            return [{"length": 0.0} for _ in outcomes_G]
        lambdas_G = spread([outcome.num_tokens for outcome in outcomes_G])
        return [
            {"length": self.weight * (share if outcome.score >= self.gate else min(0.0, share))}
            for outcome, share in zip(outcomes_G, lambdas_G, strict=True)
        ]


def spread(lengths_G: Sequence[int]) -> list[float]:
    """lambda of each length: 0.5 for the shortest, -0.5 for the longest, 0 if all are equal."""
    low, high = min(lengths_G), max(lengths_G)
    if low == high:
        return [0.0] * len(lengths_G)
    return [0.5 - (length - low) / (high - low) for length in lengths_G]
