"""Traces as pages show them: score arithmetic, and a step's answers in their groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from apps.traces.models import Grade, Trace


class Arithmetic(NamedTuple):
    """A score written out: what was earned over what there was."""

    earned: list[Grade]
    sum_earned: float
    possible: float
    num_ungraded: int

    @property
    def share(self) -> float | None:
        return self.sum_earned / self.possible if self.possible else None


class Group(NamedTuple):
    """The answers to one prompt in one step, with the group's mean reward."""

    example_id: str
    model: str
    traces: list[Trace]
    mean: float | None


def arithmetic(grades: Iterable[Grade]) -> Arithmetic:
    """How the score of these grades comes about (kos.grading.score)."""
    found = [*grades]
    earned = [grade for grade in found if grade.met]
    return Arithmetic(
        earned=earned,
        sum_earned=sum(grade.points for grade in earned),
        possible=sum(grade.points for grade in found if grade.points > 0),
        num_ungraded=sum(grade.met is None for grade in found),
    )


def groups(traces: Sequence[Trace]) -> list[Group]:
    """Answers side by side, a group a prompt and model, in the order of the traces."""
    places: dict[tuple[str, str], list[Trace]] = {}
    for trace in traces:
        places.setdefault((trace.example_id, trace.model), []).append(trace)
    return [
        Group(example_id, model, members, _mean(members))
        for (example_id, model), members in places.items()
    ]


def _mean(traces: Sequence[Trace]) -> float | None:
    values = [trace.reward if trace.reward is not None else trace.score for trace in traces]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
