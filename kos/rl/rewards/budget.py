"""Kimi K2's budget: so many tokens for a sort of task, and an answer that is cut earns little."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Literal

from pydantic import Field, field_validator

from kos.data.rubrics import RubricTask
from kos.rl.rewards.base import STAGES, Outcome, Parts, Situation, Stage

MAX_TOKENS = 65_536


@STAGES.register
class Budget(Stage):
    """Token budget by the sort of task; an answer that is cut earns a stated value.

    The loop asks ``max_tokens(task)`` before it samples and gives the policy no more than that.
    An answer that was cut, or is longer all the same, keeps at most ``value``. Source: Kimi K2
    (arXiv:2507.20534), sec. 3.2.3, budget control; budgets and penalty are not published.
    """

    kind: Literal["budget"] = "budget"
    tokens: int = Field(
        0, ge=0, le=MAX_TOKENS, description="Budget of tasks without a line; 0 leaves it free."
    )
    by_tag: tuple[str, ...] = Field(
        (),
        description="Budgets by tag, one a line, as theme:emergency: 800. The first that fits "
        "counts; a task's use case and type count as tags.",
    )
    value: float = Field(0.0, ge=-10, le=10, description="The most that a cut answer earns.")

    @field_validator("by_tag")
    @classmethod
    def _can_be_read(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        _read(lines)
        return lines

    @cached_property
    def budgets(self) -> Mapping[str, int]:
        """The budget of each tag."""
        return _read(self.by_tag)

    def max_tokens(self, task: RubricTask) -> int | None:
        """The longest answer ``task`` may get; None leaves it to the run's sampling."""
        tags = {*task.tags, task.use_case, task.type}
        found = (tokens for tag, tokens in self.budgets.items() if tag in tags)
        return next(found, self.tokens or None)

    def parts(self, outcomes_G: Sequence[Outcome], situation: Situation) -> Sequence[Parts]:
        """``truncation``: what takes the reward so far down to ``value``; never more than 0."""
        budget = self.max_tokens(situation.task)
        return [
            {"truncation": min(0.0, self.value - one.reward) if _is_cut(one, budget) else 0.0}
            for one in outcomes_G
        ]

    def numbers(self, outcomes_G: Sequence[Outcome], situation: Situation) -> dict[str, float]:
        """``budget/cut``: the share of answers that did not end in time."""
        budget = self.max_tokens(situation.task)
        return {"budget/cut": sum(_is_cut(one, budget) for one in outcomes_G) / len(outcomes_G)}


def _read(lines: Sequence[str]) -> dict[str, int]:
    budgets: dict[str, int] = {}
    for line in filter(str.strip, lines):
        tag, _, tokens = (part.strip() for part in line.rpartition(":"))
        if not tag or not tokens.isdecimal() or not 1 <= int(tokens) <= MAX_TOKENS:
            raise ValueError(
                f"{line!r} is no budget; write a tag and 1 to {MAX_TOKENS} tokens, as "
                "theme:emergency: 800"
            )
        if tag in budgets:
            raise ValueError(f"{tag} has two lines; keep one")
        budgets[tag] = int(tokens)
    return budgets


def _is_cut(outcome: Outcome, budget: int | None) -> bool:
    is_longer = budget is not None and outcome.num_tokens > budget
    return is_longer or outcome.stop_reason == "length"
