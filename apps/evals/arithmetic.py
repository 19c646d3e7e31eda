"""A score written out, as a reader would check it on paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apps.evals import effective
from apps.evals.models import Override
from apps.traces.models import Grade
from kos.evals.scores import GradedAnswer, Mode, share
from kos.evals.tables import arithmetic as write_out
from kos.events import ItemGrade


@dataclass(frozen=True)
class Line:
    """A grade as it counts, with the override that stands over it."""

    grade: Grade
    met: bool | None
    override: Override | None

    @property
    def contradicts(self) -> bool:
        """Whether a person's verdict differs from the grader's."""
        return self.override is not None and self.override.met != self.grade.met


@dataclass(frozen=True)
class Sheet:
    """One answer's items by what they did to the score, each group by |points|."""

    lost: list[Line]
    won: list[Line]
    penalties: list[Line]
    avoided: list[Line]
    ungraded: list[Line]
    text: str
    score: float | None
    original: float | None

    @property
    def num_overridden(self) -> int:
        """How many verdicts are a person's."""
        groups = (self.lost, self.won, self.penalties, self.avoided, self.ungraded)
        return sum(line.override is not None for group in groups for line in group)


def sheet(grades: Sequence[Grade], *, chars: int, mode: Mode) -> Sheet:
    """The grades of one answer, grouped, with the arithmetic of its score."""
    lines = sorted(
        (Line(grade, effective.met_of(grade), effective.override_of(grade)) for grade in grades),
        key=lambda line: -abs(line.grade.points),
    )
    graded = [line for line in lines if line.met is not None]
    positive = [line for line in graded if line.grade.points > 0]
    negative = [line for line in graded if line.grade.points < 0]
    counted = [_item(line.grade, line.met) for line in lines]
    return Sheet(
        lost=[line for line in positive if not line.met],
        won=[line for line in positive if line.met],
        penalties=[line for line in negative if line.met],
        avoided=[line for line in negative if not line.met],
        ungraded=[line for line in lines if line.met is None],
        text=write_out(GradedAnswer("", "", 0, tuple(counted), chars), mode),
        score=_score(counted),
        original=_score([_item(grade, grade.met) for grade in grades]),
    )


def _item(grade: Grade, met: bool | None) -> ItemGrade:
    return ItemGrade(grade.key, grade.text, grade.points, met, grade.grader)


def _score(items: Sequence[ItemGrade]) -> float | None:
    return None if any(item.met is None for item in items) else share(items)
