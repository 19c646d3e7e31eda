"""Prompts that go badly are asked more often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from kos.data.rubrics import RubricTask
from kos.rl.prompts.base import PROMPTS, PromptSampler, Record, draw


@PROMPTS.register
class Prioritised(PromptSampler):
    """Prioritised: the chance of a prompt is proportional to 1 - its success rate.

    The rate is the mean of a Beta distribution: ``successes`` and ``failures`` are imagined
    before the first answer, then each time it was asked adds its mean score. A measured pass
    rate takes the place of the imagined one, at the same weight. Source: Kimi k1.5
    (arXiv:2501.12599), sec. 2.3.4.
    """

    kind: Literal["prioritised"] = "prioritised"
    successes: float = Field(1.0, gt=0, description="Imagined successes before it was asked.")
    failures: float = Field(1.0, gt=0, description="Imagined failures before it was asked.")
    floor: float = Field(
        0.05, ge=0, le=1, description="No prompt weighs less, however well it goes."
    )
    recent: int = Field(8, ge=1, description="So many times it was asked are remembered.")

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
        weights = [max(self.floor, 1 - self.rate(task, record)) for task in tasks]
        return draw(weights, count, step=step, seed=seed)

    def rate(self, task: RubricTask, record: Record) -> float:
        """The success rate of ``task`` as far as it is known."""
        imagined = self.successes + self.failures
        measured = task.measured.pass_rate if task.measured is not None else None
        before = record.difficulty.get(task.id, measured)
        successes = self.successes if before is None else before * imagined
        scores = record.scores.get(task.id, [])[-self.recent :]
        return (successes + sum(scores)) / (imagined + len(scores))
