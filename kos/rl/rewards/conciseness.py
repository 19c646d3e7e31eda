"""Kos-1's reward: a conciseness bonus in two channels behind a quality gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kos.rl.rewards.base import STAGES, Outcome, Parts, Situation, Stage


class LengthBonus(BaseModel):
    """Full up to ``free`` tokens, nothing from ``maximum`` on, linear between."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    free: int = Field(4000, ge=0, description="Up to this many tokens the bonus is full.")
    maximum: int = Field(6000, ge=1, description="From this many tokens on there is none.")
    beta: float = Field(0.15, ge=0, description="The full bonus.")

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.maximum <= self.free:
            raise ValueError(
                f"the bonus ends at {self.maximum} tokens, which must be more than the "
                f"{self.free} up to which it is full"
            )
        return self

    def at(self, length: int) -> float:
        """The bonus for an answer of ``length`` tokens."""
        left = (self.maximum - length) / (self.maximum - self.free)
        return self.beta * min(1.0, max(0.0, left))


@STAGES.register
class ConcisenessBonus(Stage):
    """Two-channel conciseness bonus behind a quality gate.

    R = r + 1[r >= gate] (g(all tokens) + g(visible tokens)). Source: Kos-1 Experimental; stage 1
    has response 4000 / 6000 / 0.15 and output 1500 / 3000 / 0.17 with the gate at 0.68.
    """

    kind: Literal["conciseness"] = "conciseness"
    gate: float = Field(0.68, ge=0, le=1, description="The bonus opens at this rubric score.")
    response: LengthBonus = LengthBonus()
    output: LengthBonus = LengthBonus(free=1500, maximum=3000, beta=0.17)

    def parts(self, outcomes_G: Sequence[Outcome], situation: Situation) -> Sequence[Parts]:
        """``bonus_response`` (all tokens) and ``bonus_output`` (the visible answer)."""
        return [self._bonus(outcome) for outcome in outcomes_G]

    def _bonus(self, outcome: Outcome) -> dict[str, float]:
        is_open = outcome.score >= self.gate
        return {
            "bonus_response": self.response.at(outcome.num_tokens) if is_open else 0.0,
            "bonus_output": self.output.at(outcome.num_answer_tokens) if is_open else 0.0,
        }

    def numbers(self, outcomes_G: Sequence[Outcome], situation: Situation) -> dict[str, float]:
        """``gate/pass_rate``: the share of answers good enough for a bonus."""
        passed = [outcome.score >= self.gate for outcome in outcomes_G]
        return {"gate/pass_rate": sum(passed) / len(passed)}
