"""Prompt samplers, and the record of what was asked that they go by.

A file in this folder whose class is registered is a sampler to choose.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
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
    return walk(num_items, (step - 1) * num_picked, num_picked, seed=seed)


def walk(num_items: int, first: int, count: int, *, seed: int | str) -> list[int]:
    """Places ``first`` to ``first + count`` of an endless walk: one shuffle of all after another."""
    orders: dict[int, list[int]] = {}
    walked = []
    for position in range(first, first + count):
        epoch, place = divmod(position, num_items)
        if epoch not in orders:
            orders[epoch] = list(range(num_items))
            random.Random(f"{seed},{epoch}").shuffle(orders[epoch])  # noqa: S311 (no secret)
        walked.append(orders[epoch][place])
    return walked


def draw(weights: Sequence[float], count: int, *, step: int, seed: int) -> list[int]:
    """``count`` places, each drawn with a chance proportional to its weight among those left.

    None twice before all with a weight were drawn; all alike where every weight is 0. Source:
    Efraimidis and Spirakis (2006), weighted sampling without replacement.
    """
    chance = random.Random(f"{seed},{step},draw")  # noqa: S311 (no secret)
    known = [place for place, weight in enumerate(weights) if weight > 0]
    places = known or list(range(len(weights)))
    drawn: list[int] = []
    while len(drawn) < count:
        keys = {place: math.log(1 - chance.random()) / (weights[place] or 1) for place in places}
        drawn += sorted(places, key=keys.__getitem__, reverse=True)[: count - len(drawn)]
    return drawn


def success(task: RubricTask, record: Record, *, recent: int = 0) -> float | None:
    """How well ``task`` goes, in [0, 1]: the mean of its last ``recent`` scores (0: of all).

    Before it was asked, the share of answers that passed when that was measured; None when
    nothing is known.
    """
    scores = record.scores.get(task.id, [])[-recent:]
    if scores:
        return fmean(scores)
    measured = task.measured.pass_rate if task.measured is not None else None
    return record.difficulty.get(task.id, measured)
