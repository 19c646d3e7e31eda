"""Difficulty pools: prompts of middling difficulty are asked most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kos.data.rubrics import RubricTask
from kos.rl.prompts.base import PROMPTS, PromptSampler, Record, draw, success


class Pool(BaseModel):
    """Prompts up to a share of success, and how much each of them weighs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    up_to: float = Field(1.0, ge=0, le=1, description="Prompts up to this share of success.")
    weight: float = Field(1.0, ge=0, description="Chance of each of them against the others.")


@PROMPTS.register
class Pools(PromptSampler):
    """Difficulty pools: hard, normal and easy prompts, each with its weight.

    A prompt's pool is that of the mean of its last scores, before that of its measured pass
    rate; one of which nothing is known counts as normal. Source of the defaults: prime-rl,
    difficulty pool sampler.
    """

    kind: Literal["pools"] = "pools"
    hard: Pool = Pool(up_to=0.25, weight=0.2)
    normal: Pool = Pool(up_to=0.75, weight=1.0)
    easy: Pool = Pool(up_to=1.0, weight=0.2)
    recent: int = Field(4, ge=1, description="So many times it was asked are remembered.")

    @model_validator(mode="after")
    def _bounds_rise_to_1(self) -> Self:
        bounds = (self.hard.up_to, self.normal.up_to, self.easy.up_to)
        if not bounds[0] < bounds[1] < bounds[2] or bounds[2] != 1:
            found = ", ".join(f"{bound:g}" for bound in bounds)
            raise ValueError(f"the pools must end at rising shares, the last at 1; found {found}")
        return self

    def pick(
        self,
        tasks: Sequence[RubricTask],
        count: int,
        *,
        step: int,
        num_steps: int,
        seed: int,
        record: Record,
    ) -> list[int]:
        """Drawn by weight, none twice in a step while others are left."""
        weights = [self.pool_of(task, record).weight for task in tasks]
        return draw(weights, count, step=step, seed=seed)

    def pool_of(self, task: RubricTask, record: Record) -> Pool:
        """Where ``task`` lies now; its bound belongs to the lower pool."""
        known = success(task, record, recent=self.recent)
        if known is None:
            return self.normal
        pools = (self.hard, self.normal, self.easy)
        return next(pool for pool in pools if known <= pool.up_to)
