"""Kimi K2.5's Toggle: a while within a budget of tokens, a while without, in turn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from kos.rl.rewards.base import STAGES, Outcome, Parts, Situation, Stage


@STAGES.register
class Toggle(Stage):
    """Token-efficient training by turns (Kimi K2.5's Toggle).

    Phase floor(t / m) mod 2, iterations t counted from 0. In phase 0 an answer over its prompt's
    budget earns nothing once the group's mean score reaches lambda; in phase 1 length is free.
    The budget is the rho-percentile of the lengths of right answers, taken once, the first time
    the prompt has any. Source: Kimi K2.5 (arXiv:2602.02276),
    token-efficient RL.
    """

    kind: Literal["toggle"] = "toggle"
    iterations: int = Field(2, ge=1, le=10_000, description="m: iterations in a phase.")
    threshold: float = Field(
        0.875, ge=0, le=1, description="lambda: budgets hold once a group's mean score is this."
    )
    percentile: float = Field(
        0.9, ge=0, le=1, description="rho: the budget's place among the lengths of right answers."
    )
    gate: float = Field(0.68, ge=0, le=1, description="From this rubric score on it is right.")

    def parts(self, outcomes_G: Sequence[Outcome], situation: Situation) -> Sequence[Parts]:
        """``toggle``: minus the reward so far where the budget forbids it, else 0."""
        suppressed_G = self._suppressed(outcomes_G, situation)
        return [
            # Below nothing there is nothing to take: a budget must not lift a bad answer.
            {"toggle": -max(0.0, outcome.reward) if is_suppressed else 0.0}
            for outcome, is_suppressed in zip(outcomes_G, suppressed_G, strict=True)
        ]

    def numbers(self, outcomes_G: Sequence[Outcome], situation: Situation) -> dict[str, float]:
        """``toggle/limited``: 1 in the phase with budgets; ``toggle/suppressed``: the share."""
        suppressed_G = self._suppressed(outcomes_G, situation)
        return {
            "toggle/limited": float(self.is_limited(situation.step)),
            "toggle/suppressed": sum(suppressed_G) / len(suppressed_G),
        }

    def is_limited(self, step: int) -> bool:
        """Whether budgets hold at step 1, 2, ... (phase 0)."""
        return (step - 1) // self.iterations % 2 == 0

    def _suppressed(self, outcomes_G: Sequence[Outcome], situation: Situation) -> list[bool]:
        budget = self._budget(outcomes_G, situation)
        mean = sum(outcome.score for outcome in outcomes_G) / len(outcomes_G)
        holds = self.is_limited(situation.step) and mean >= self.threshold
        return [
            holds and budget is not None and outcome.num_tokens > budget for outcome in outcomes_G
        ]

    def _budget(self, outcomes_G: Sequence[Outcome], situation: Situation) -> float | None:
        """The prompt's budget in tokens, from memory or estimated now; None without a right one."""
        known: float | None = situation.memory.get(situation.task.id)
        right = [one.num_tokens for one in outcomes_G if one.score >= self.gate]
        if known is None and right:
            known = situation.memory[situation.task.id] = quantile(right, self.percentile)
        return known


def quantile(values: Sequence[float], share: float) -> float:
    """The value at ``share`` in [0, 1] of the sorted values, straight between neighbours."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
