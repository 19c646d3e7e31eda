"""Kos-1's reward: a conciseness bonus in two channels behind a quality gate.

Each of its seven numbers may follow a curve over the training, as in Kos-1's second stage.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from kos.rl.rewards.base import STAGES, Outcome, Parts, Situation, Stage
from kos.rl.schedules import Curve

# What a curve may move, in the order in which they are drawn.
NUMBERS = (
    "gate",
    "response.free",
    "response.maximum",
    "response.beta",
    "output.free",
    "output.maximum",
    "output.beta",
)
# Kos-1 Experimental, stage 2: "short curriculum"; its maximum ended between 2000 and 2300.
STAGE_2 = (
    "response.beta 0:0.15 1:0.03",
    "output.free 0:1500 1:700",
    "output.maximum 0:3000 1:2150",
    "output.beta 0:0.17 1:0.55",
)


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
    curriculum: tuple[str, ...] = Field(
        (),
        description="How numbers move over the training, one a line: its name, then knots of "
        "progress (0 to 1) and value, as output.free 0:1500 0.5:900 1:700. A number without a "
        "knot at 0 starts from what it is above.",
    )

    @field_validator("curriculum")
    @classmethod
    def _can_be_read(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        _read(lines)
        return lines

    @model_validator(mode="after")
    def _always_falls(self) -> Self:
        for channel in ("response", "output"):
            self._check_falls(channel)
        return self

    def _check_falls(self, channel: str) -> None:
        # Both ends are straight between knots, so if they are apart at every knot they always are.
        free, maximum = f"{channel}.free", f"{channel}.maximum"
        knots = [knot for name in (free, maximum) for knot in self.curves.get(name, ())]
        for progress in sorted({knot.progress for knot in knots}):
            low, high = self._value(free, progress), self._value(maximum, progress)
            if high - low < 1:
                raise ValueError(
                    f"at progress {progress:g} the {channel} bonus ends at {high:g} tokens, which "
                    f"must be more than the {low:g} up to which it is full"
                )

    @cached_property
    def curves(self) -> Mapping[str, Curve]:
        """The numbers that move, by name, each from progress 0 on."""
        curves = _read(self.curriculum)
        return {name: curve.from_start(self._start(name)) for name, curve in curves.items()}

    def at(self, progress: float) -> ConcisenessBonus:
        """The bonus as it stands at ``progress``, with its seven numbers and no curves."""
        if not self.curves:
            return self
        response, output = (
            LengthBonus(
                free=_whole(self._value(f"{channel}.free", progress)),
                maximum=_whole(self._value(f"{channel}.maximum", progress)),
                beta=self._value(f"{channel}.beta", progress),
            )
            for channel in ("response", "output")
        )
        gate = self._value("gate", progress)
        return ConcisenessBonus(gate=gate, response=response, output=output)

    def parts(self, outcomes_G: Sequence[Outcome], situation: Situation) -> Sequence[Parts]:
        """``bonus_response`` (all tokens) and ``bonus_output`` (the visible answer)."""
        now = self.at(situation.progress)
        return [now.bonus(outcome) for outcome in outcomes_G]

    def bonus(self, outcome: Outcome) -> dict[str, float]:
        """What ``outcome`` earns by these numbers, curves left aside."""
        is_open = outcome.score >= self.gate
        return {
            "bonus_response": self.response.at(outcome.num_tokens) if is_open else 0.0,
            "bonus_output": self.output.at(outcome.num_answer_tokens) if is_open else 0.0,
        }

    def numbers(self, outcomes_G: Sequence[Outcome], situation: Situation) -> dict[str, float]:
        """``gate/pass_rate``, the share good enough for a bonus, and the numbers that move."""
        gate = self.at(situation.progress).gate
        passed = [outcome.score >= gate for outcome in outcomes_G]
        moving = {
            f"curriculum/{name}": curve.at(situation.progress)
            for name, curve in self.curves.items()
        }
        return {"gate/pass_rate": sum(passed) / len(passed), **moving}

    def _value(self, name: str, progress: float) -> float:
        curve = self.curves.get(name)
        return self._start(name) if curve is None else curve.at(progress)

    def _start(self, name: str) -> float:
        channel, _, number = name.partition(".")
        value = getattr(self, channel)
        return float(getattr(value, number) if number else value)


def _read(lines: Sequence[str]) -> dict[str, Curve]:
    """The curve of each line, by its number's name; ValueError says which is wrong, and how."""
    curves: dict[str, Curve] = {}
    for line in filter(str.strip, lines):
        name, *knots = line.split()
        if name not in NUMBERS:
            raise ValueError(f"{name!r} is none of the numbers: {', '.join(NUMBERS)}")
        if name in curves:
            raise ValueError(f"{name} has two lines; put all its knots on one")
        try:
            curves[name] = Curve.parse(" ".join(knots))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        _check_values(name, curves[name])
    return curves


def _check_values(name: str, curve: Curve) -> None:
    low = 1.0 if name.endswith("maximum") else 0.0
    high = 1.0 if name == "gate" else math.inf
    for knot in curve:
        if not low <= knot.value <= high:
            bound = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
            raise ValueError(f"{name} is {knot.value:g} at {knot.progress:g}; it must be {bound}")


def _whole(tokens: float) -> int:
    # Not round(): halves to even could let two ends that are 1 apart fall together.
    return math.floor(tokens + 0.5)
