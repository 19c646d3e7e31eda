"""The optimiser steps of an iteration: whole groups, split evenly over the substeps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from kos.config.training import Train
from kos.engine.base import Datum, Engine, OnProgress
from kos.events import Job, Progress
from kos.rl import metrics
from kos.rl.normalise import normalised
from kos.rl.ptx import Curated
from kos.rl.rollouts import Group, split_substeps
from kos.rl.stale import Lesson, Lessons, lessons_of, numbers_of


class Learnt(NamedTuple):
    """A rollout that was learnt from, with the trainer's log-probabilities of its action tokens."""

    lesson: Lesson
    logprobs: tuple[float, ...]


@dataclass
class Update:
    """What an iteration's optimiser steps did."""

    learnt: list[Learnt] = field(default_factory=list)
    numbers: dict[str, float] = field(default_factory=dict)


def update(
    config: Train,
    job: Job,
    engine: Engine,
    groups: Sequence[Group],
    *,
    step: int,
    curated: Curated | None = None,
) -> Update:
    """Learn from the groups that teach something; the optimiser rests where none does."""
    began = time.monotonic()
    if config.loss.resets_optimiser:
        engine.reset_optimiser()
    rollouts = config.rollouts
    kept = [group for group in groups if group.graded]
    if rollouts.equal_groups != "keep":
        kept = [group for group in kept if not group.is_equal]
    taught = [
        lessons_of(
            group,
            engine.version,
            max_staleness=rollouts.max_staleness,
            old_segments=rollouts.old_segments,
        )
        for group in kept
    ]
    done = Update(numbers=numbers_of(taught))
    substeps = _split(kept, taught, config.substeps)
    rows: list[_Substep] = []
    for number, lessons in enumerate(substeps, 1):
        share = (step - 1 + (number - 1) / len(substeps), len(substeps))
        found = _substep(config, engine, lessons, _teller(job, share, config.steps))
        if curated is not None:
            place = (step - 1) * config.substeps + number
            found.ptx, found.num_trained_ptx = curated.add_gradient(engine, place)
        found.grad_norm = engine.optim_step(config.adam)["grad_norm"]
        done.numbers |= metrics.of_substep(found.numbers, number)
        done.learnt += found.learnt
        rows.append(found)
    job.emit(Progress("train", step, config.steps, "steps"))
    done.numbers |= _summary(config, done.learnt, rows)
    done.numbers["time/train"] = time.monotonic() - began
    return done


@dataclass
class _Substep:
    """One optimiser step."""

    learnt: list[Learnt]
    numbers: dict[str, float]
    loss: float
    grad_norm: float = 0.0
    ptx: float = 0.0
    num_trained_ptx: int = 0


def _split(
    groups: Sequence[Group], taught: Sequence[Lessons], num_substeps: int
) -> list[list[Lesson]]:
    """Whole groups a substep; a group all of whose answers were too old is in none."""
    by_group = {id(group): lessons.kept for group, lessons in zip(groups, taught, strict=True)}
    present = [group for group in groups if by_group[id(group)]]
    return [
        [lesson for group in part for lesson in by_group[id(group)]]
        for part in split_substeps(present, num_substeps)
    ]


def _substep(
    config: Train, engine: Engine, lessons: Sequence[Lesson], tell: OnProgress
) -> _Substep:
    """The gradient of one optimiser step; log-probabilities at the answers' own temperature."""
    data = [datum for lesson in lessons for datum in lesson.data]
    weighed, loss = normalised(
        data, config.loss, config.normalisation, max_tokens=config.sampling.max_tokens
    )
    heats = [lesson.group.temperature for lesson in lessons for _ in lesson.data]
    total = 0.0
    rows: dict[int, tuple[float, ...]] = {}
    tell(0, 1)
    # An answer that waited may have been drawn at another temperature than its neighbours.
    for heat in dict.fromkeys(heats):
        places = [place for place, one in enumerate(heats) if one == heat]
        output = engine.forward_backward(
            [weighed[place] for place in places], loss, temperature=heat, on_progress=tell
        )
        total += output.loss
        rows |= dict(zip(places, output.logprobs, strict=True))
    logprobs = [rows[place] for place in range(len(data))]
    return _Substep(
        _by_lesson(lessons, logprobs), metrics.of_update(data, logprobs, config.loss), total
    )


def _by_lesson(lessons: Sequence[Lesson], logprobs: Sequence[tuple[float, ...]]) -> list[Learnt]:
    rows = iter(logprobs)
    return [
        Learnt(lesson, tuple(value for _ in lesson.data for value in next(rows)))
        for lesson in lessons
    ]


def _summary(
    config: Train, learnt: Sequence[Learnt], substeps: Sequence[_Substep]
) -> dict[str, float]:
    data: list[Datum] = []
    logprobs: list[tuple[float, ...]] = []
    for lesson, row in learnt:
        start = 0
        for datum in lesson.data:
            data.append(datum)
            logprobs.append(row[start : start + datum.num_actions])
            start += datum.num_actions
    numbers = metrics.of_update(data, logprobs, config.loss)
    if config.ptx.weight:
        numbers["loss/ptx"] = metrics.mean(one.ptx for one in substeps)
    return {
        **numbers,
        "loss": metrics.mean(one.loss for one in substeps),
        "grad_norm": metrics.mean(one.grad_norm for one in substeps),
        "tokens/learnt": float(sum(datum.num_actions for datum in data)),
        "tokens/trained": float(
            sum(len(datum.tokens) for datum in data) + sum(one.num_trained_ptx for one in substeps)
        ),
    }


def _teller(job: Job, place: tuple[float, int], num_steps: int) -> OnProgress:
    """Tells how far the training is; ``place`` is where this substep begins, and of how many."""
    start, count = place

    def tell(done: int, total: int) -> None:
        job.emit(Progress("train", start + done / total / count, num_steps, "steps"))

    return tell
