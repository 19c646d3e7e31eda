"""Which prompts a step takes, and what of a dataset can be trained on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kos.data.readers import read_file
from kos.data.rubrics import RubricTask, Split
from kos.errors import UserError


def read_split(path: Path, split: Split) -> list[RubricTask]:
    """The tasks of one split; raises UserError when there are none."""
    tasks = [task for task in read_file(path).tasks if task.split == split]
    if not tasks:
        raise UserError(f"the dataset has no rows in its {split} split; mark some as {split}")
    return tasks


def gradable(tasks: Sequence[RubricTask]) -> list[RubricTask]:
    """Those whose every item has a check, so that a reward can be had without a judge."""
    return [task for task in tasks if all(item.check is not None for item in task.rubric)]


def conversation(task: RubricTask, system_prompt: str) -> list[dict[str, Any]]:
    """The prompt as chat messages, under the system prompt when it brings none of its own."""
    turns = [turn.model_dump() for turn in task.messages]
    if not system_prompt or turns[0]["role"] == "system":
        return turns
    return [{"role": "system", "content": system_prompt}, *turns]


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
