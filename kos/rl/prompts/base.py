"""Prompt samplers, and the record of what was asked that they go by.

A file in this folder whose class is registered is a sampler to choose.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kos.data.rubrics import RubricTask
from kos.registry import Choice, Registry


@dataclass
class Record:
    """How each prompt went so far, by its id: in the checkpoint, so a resumed run draws alike.

    ``scores`` has one mean rubric score in [0, 1] for each time a prompt was asked, oldest first.
    ``difficulty`` is what was known before the run: the share of answers that passed.
    """

    scores: dict[str, list[float]] = field(default_factory=dict)
    difficulty: Mapping[str, float] = field(default_factory=dict)

    def add(self, task_id: str, score: float) -> None:
        """Note the mean score of a group that was graded."""
        self.scores.setdefault(task_id, []).append(score)

    def to_json(self) -> dict[str, Any]:
        """As the checkpoint keeps it; ``difficulty`` is an input and comes anew."""
        return {"scores": self.scores}


class PromptSampler(Choice):
    """Chooses the prompts of a step."""

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
        """``count`` places in ``tasks`` for step 1, 2, ...; depends on its arguments alone."""
        raise NotImplementedError


PROMPTS: Registry[PromptSampler] = Registry("prompt sampler")


def gradable(tasks: Sequence[RubricTask]) -> list[RubricTask]:
    """Those whose every item has a check, so that a reward can be had without a judge."""
    return [task for task in tasks if all(item.check is not None for item in task.rubric)]


def pick(num_items: int, num_picked: int, *, step: int, seed: int) -> list[int]:
    """Items of step 1, 2, ...: a new shuffle each epoch, none twice within one.

    Depends on (seed, step) alone, so that a resumed run picks what an unbroken one would.
    """
    first = (step - 1) * num_picked
    return [_item(position, num_items, seed) for position in range(first, first + num_picked)]


def _item(position: int, num_items: int, seed: int) -> int:
    epoch, place = divmod(position, num_items)
    order = list(range(num_items))
    random.Random(f"{seed},{epoch}").shuffle(order)  # noqa: S311 (no secret)
    return order[place]
