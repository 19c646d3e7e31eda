"""How far the policy has gone on since an answer was sampled, and what is too old to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kos.engine.base import Datum
from kos.rl.rollouts import Group, OldSegments, Rollout


@dataclass(frozen=True)
class Lesson:
    """One rollout to learn from: the ``place``-th of its group, as data for the engine."""

    group: Group
    place: int
    data: tuple[Datum, ...]
    age: int

    @property
    def rollout(self) -> Rollout:
        """The rollout itself."""
        return self.group.rollouts[self.place]


@dataclass(frozen=True)
class Lessons:
    """What a group teaches, and the ages of its answers, of the dropped ones as well."""

    kept: tuple[Lesson, ...]
    ages: tuple[int, ...]

    @property
    def num_dropped(self) -> int:
        """Answers that were too old."""
        return len(self.ages) - len(self.kept)


def lessons_of(
    group: Group, version: int, *, max_staleness: int, old_segments: OldSegments
) -> Lessons:
    """The graded rollouts of ``group`` for policy ``version`` to learn from.

    Age counts optimiser steps since the oldest policy whose words enter the loss. Above
    ``max_staleness`` an answer is dropped; 0 keeps all. Its group's baseline stays as it was.
    """
    kept, ages = [], []
    for place, rollout in enumerate(group.rollouts):
        if rollout.reward is None:
            continue
        age = version - rollout.version(old_segments)
        ages.append(age)
        if not max_staleness or age <= max_staleness:
            data = tuple(rollout.data(group.prompt, old_segments))
            kept.append(Lesson(group, place, data, age))
    return Lessons(tuple(kept), tuple(ages))


def numbers_of(lessons: Sequence[Lessons]) -> dict[str, float]:
    """The charts' numbers: ages in optimiser steps, and answers dropped."""
    ages = [age for one in lessons for age in one.ages]
    return {
        "staleness/mean": sum(ages) / len(ages) if ages else 0.0,
        "staleness/max": float(max(ages, default=0)),
        "staleness/dropped": float(sum(one.num_dropped for one in lessons)),
    }
