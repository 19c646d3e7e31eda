"""Which prompts a step takes, and what of a dataset can be trained on."""

from __future__ import annotations

import random
from collections.abc import Sequence

from kos.data.rubrics import RubricTask


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
