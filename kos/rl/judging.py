"""Grading the rollouts of an iteration, with the grader that evaluations use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from kos.data.prompts import conversation
from kos.data.rubrics import RubricTask
from kos.errors import GradeError, UserError
from kos.evals.flow import in_flight
from kos.evals.run import with_verdicts
from kos.events import Job, Note
from kos.grading.base import Grader, Grading, Submission
from kos.rl.prompts.base import gradable
from kos.rl.rollouts import Rollout, graded

GRADED_AT_ONCE = 64


@dataclass
class Judging:
    """A grader at work, asked from plain functions through ``runner``."""

    runner: asyncio.Runner
    grading: Grading
    system_prompt: str

    def grade(
        self,
        rollouts: Sequence[tuple[RubricTask, Rollout]],
        on_done: Callable[[int], None] | None = None,
    ) -> list[Rollout]:
        """All of them with their verdicts; one that got none is left without a score, never 0."""
        return self.runner.run(self._grade_all(rollouts, on_done))

    async def _grade_all(
        self,
        rollouts: Sequence[tuple[RubricTask, Rollout]],
        on_done: Callable[[int], None] | None,
    ) -> list[Rollout]:
        async def source() -> AsyncIterator[int]:
            for place in range(len(rollouts)):
                yield place

        async def grade_one(place: int) -> tuple[int, Rollout]:
            return place, await self._grade(*rollouts[place])

        found: dict[int, Rollout] = {}
        async with aclosing(in_flight(source(), grade_one, GRADED_AT_ONCE)) as answers:  # type: ignore[type-var]
            async for place, rollout in answers:
                found[place] = rollout
                if on_done is not None:
                    on_done(len(found))
        return [found[place] for place in range(len(rollouts))]

    async def _grade(self, task: RubricTask, rollout: Rollout) -> Rollout:
        if rollout.error:
            return rollout
        sent = [(one["role"], one["content"]) for one in conversation(task, self.system_prompt)]
        try:
            items = await self.grading.grade(Submission(task, sent, rollout.answer))
        except GradeError as error:
            return replace(rollout, error=str(error))
        return graded(rollout, with_verdicts(items, rollout.items))


def usable(tasks: Sequence[RubricTask], grader: Grader, job: Job) -> list[RubricTask]:
    """The prompts whose answers ``grader`` can score; a Note says how many it cannot.

    Raises UserError when there are none.
    """
    if grader.kind == "embedded":
        kept = [task for task in tasks if _is_decided(task)]
        advice = "add checks, choose a judge as grader, or pick another dataset"
    else:
        kept = [task for task in tasks if _is_decided(task) or _is_judged(task)]
        advice = "pick another dataset"
    if not kept:
        raise UserError(
            f"none of the {len(tasks)} training prompts has a check on every rubric item, and "
            f"items without one cannot be graded here; {advice}"
        )
    if len(kept) < len(tasks):
        left_out = len(tasks) - len(kept)
        job.emit(
            Note(f"Left out {left_out} prompts with items that nobody here can grade.", "warning")
        )
    return kept


def _is_decided(task: RubricTask) -> bool:
    """Whether rules alone give a score."""
    if task.environment is not None:
        return all(item.kind != "judge" and not item.is_judged for item in task.rubric)
    return bool(gradable([task])) and _has_rule(task)


def _is_judged(task: RubricTask) -> bool:
    """Whether rules and a judge give a score together."""
    is_open = any(
        item.checkpoint is not None and not item.is_judged and task.environment is None
        for item in task.rubric
    )
    return not is_open and _has_rule(task)


def _has_rule(task: RubricTask) -> bool:
    """Code is kept and not run: such a verifier never decides."""
    return task.verifier is None or task.verifier.kind != "code_tests"
