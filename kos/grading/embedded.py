"""The grader that needs no model: checks, and the words a positive item shares with the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from kos.events import ItemGrade, Job
from kos.grading.base import GRADERS, Grader, Submission
from kos.grading.score import grade


@GRADERS.register
class Embedded(Grader):
    """Checks; where a judge is needed, a screening by words (not a score)."""

    kind: Literal["embedded"] = "embedded"

    @asynccontextmanager
    async def open(self, job: Job) -> AsyncIterator[Embedded]:
        """Nothing to open."""
        yield self

    async def grade(self, submission: Submission) -> tuple[ItemGrade, ...]:
        """Negative items without a check stay ungraded: naming a fault is not committing it."""
        return grade(submission.task, submission.answer)
