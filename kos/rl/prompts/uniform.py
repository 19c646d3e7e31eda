"""Every prompt equally often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from kos.data.rubrics import RubricTask
from kos.rl.prompts.base import PROMPTS, PromptSampler, Record, pick


@PROMPTS.register
class Uniform(PromptSampler):
    """Every prompt equally often, in a new order each epoch."""

    kind: Literal["uniform"] = "uniform"

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
        """The next ``count`` of the epoch's shuffle."""
        return pick(len(tasks), count, step=step, seed=seed)
