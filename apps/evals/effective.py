"""The verdict that counts: the latest override of a person, else the grader's."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import QuerySet

from apps.evals.models import Override
from apps.traces.models import Grade


def grades_of(trace_id: int) -> QuerySet[Grade]:
    """A trace's grades in their order, overrides (latest first) at hand."""
    return Grade.objects.filter(trace_id=trace_id).prefetch_related("overrides__by")


def override_of(grade: Grade) -> Override | None:
    """The override that counts; None when there is none or the last one was withdrawn."""
    latest = next(iter(grade.overrides.all()), None)
    return None if latest is None or latest.met is None else latest


def met_of(grade: Grade) -> bool | None:
    """Whether the item is met, as it counts now; None while it is ungraded."""
    found = override_of(grade)
    return grade.met if found is None else found.met


def num_overridden(grades: Iterable[Grade]) -> int:
    """How many of the grades a person has overridden."""
    return sum(override_of(grade) is not None for grade in grades)
