"""A task as the model is asked it: the same messages in training, evaluation and calibration."""

from __future__ import annotations

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


def conversation(task: RubricTask, system_prompt: str) -> list[dict[str, Any]]:
    """The prompt as chat messages, under the system prompt when it brings none of its own."""
    return with_system([turn.model_dump() for turn in task.messages], system_prompt)


def with_system(messages: Sequence[dict[str, Any]], system_prompt: str) -> list[dict[str, Any]]:
    """``messages`` under the system prompt, unless they begin with one or it is empty."""
    if not system_prompt or messages[0]["role"] == "system":
        return list(messages)
    return [{"role": "system", "content": system_prompt}, *messages]
