"""Prompts to pick from, and how a sampler is asked."""

from __future__ import annotations

from typing import Any

from kos.data.rubrics import RubricTask
from kos.rl.prompts.base import PromptSampler, Record
from tests.kos.engine.tiny import make_tasks

NUM_STEPS = 11


def make(**fields: list[Any]) -> list[RubricTask]:
    """Tasks task-0, task-1, ... with one value each of ``fields``."""
    count = len(next(iter(fields.values())))
    return [
        task.model_copy(update={name: values[number] for name, values in fields.items()})
        for number, task in enumerate(make_tasks(count))
    ]


def pick(
    sampler: PromptSampler,
    tasks: list[RubricTask],
    count: int,
    *,
    step: int = 1,
    seed: int = 0,
    record: Record | None = None,
) -> list[int]:
    return sampler.pick(
        tasks, count, step=step, num_steps=NUM_STEPS, seed=seed, record=record or Record()
    )


def asked(*scores: float) -> Record:
    """A record in which task-0, task-1, ... were asked once each."""
    return Record({f"task-{number}": [score] for number, score in enumerate(scores)})
