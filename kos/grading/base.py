"""What a grader is. Checks are graded the same by all; graders differ on a judge's items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from kos.data.rubrics import RubricTask
from kos.events import ItemGrade, Job
from kos.registry import Choice, Registry

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager


@dataclass(frozen=True)
class Submission:
    """An answer to grade. ``messages`` is the conversation as sent, system prompt included.

    ``answer`` is what the reader sees: thinking is never graded.
    """

    task: RubricTask
    messages: Sequence[tuple[str, str]]
    answer: str


class Grading(Protocol):
    """A grader at work: it holds connections, so it is opened once for many answers."""

    async def grade(self, submission: Submission) -> tuple[ItemGrade, ...]:
        """Every item's verdict, in the rubric's order; ``met`` None where there is none."""


class Grader(Choice):
    """Somebody who decides the items that no check decides."""

    def open(self, job: Job) -> AbstractAsyncContextManager[Grading]:
        """Begin work. ``UserError`` when it cannot."""
        raise NotImplementedError


GRADERS: Registry[Grader] = Registry("grader")

Verdict = Literal["met", "not met", "ungraded"]
