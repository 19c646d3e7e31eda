"""Rewards: from a rubric score and two lengths to the number the optimiser sees."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kos.registry import Choice, Registry


class Reward(Choice):
    """A reward and its named parts."""

    def parts(
        self, score: float, num_tokens: int, num_answer_tokens: int, progress: float
    ) -> dict[str, float]:
        """The parts by name; their sum is the reward.

        ``score`` is the rubric score in [0, 1] (mode ``unit``), ``num_tokens`` counts all that
        was generated, ``num_answer_tokens`` the visible answer, ``progress`` in [0, 1] is how
        far the training is.
        """
        raise NotImplementedError

    def passes(self, score: float) -> bool:
        """Whether the rubric score is good enough for whatever else the reward gives."""
        return True


REWARDS: Registry[Reward] = Registry("reward")


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


@REWARDS.register
class ConcisenessBonus(Reward):
    """Rubric score plus a two-channel conciseness bonus behind a quality gate.

    R = r + 1[r >= gate] (g(all tokens) + g(visible tokens)). Source: Kos-1 Experimental; stage 1
    has response 4000 / 6000 / 0.15 and output 1500 / 3000 / 0.17 with the gate at 0.68.
    """

    kind: Literal["conciseness"] = "conciseness"
    gate: float = Field(0.68, ge=0, le=1, description="The bonus opens at this rubric score.")
    response: LengthBonus = LengthBonus()
    output: LengthBonus = LengthBonus(free=1500, maximum=3000, beta=0.17)

    def parts(
        self, score: float, num_tokens: int, num_answer_tokens: int, progress: float
    ) -> dict[str, float]:
        """``rubric``, ``bonus_response`` (all tokens) and ``bonus_output`` (the answer)."""
        is_open = self.passes(score)
        return {
            "rubric": score,
            "bonus_response": self.response.at(num_tokens) if is_open else 0.0,
            "bonus_output": self.output.at(num_answer_tokens) if is_open else 0.0,
        }

    def passes(self, score: float) -> bool:
        """Whether ``score`` reaches the gate, which belongs to it."""
        return score >= self.gate


@REWARDS.register
class RubricOnly(Reward):
    """The rubric score alone, without a view on length."""

    kind: Literal["rubric"] = "rubric"

    def parts(
        self, score: float, num_tokens: int, num_answer_tokens: int, progress: float
    ) -> dict[str, float]:
        """``rubric`` alone."""
        return {"rubric": score}
