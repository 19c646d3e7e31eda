"""Answers of the policy with what the grader says of them: what selection and critics begin with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing

from kos.chat.parse import split_thinking
from kos.data.answers import GradedAnswer, Said
from kos.data.prompts import conversation
from kos.data.rubrics import RubricTask
from kos.engine.base import Engine, OnProgress, Sampled, SamplingParams
from kos.evals.flow import in_flight
from kos.events import Job
from kos.grading.base import Grader, Grading, Submission
from kos.grading.score import unit_score

# Answers being graded at a time; a judge bounds its own requests.
GRADED_AT_ONCE = 64
Numbered = tuple[int, Submission]


def answers_of(
    engine: Engine,
    tasks: Sequence[RubricTask],
    params: SamplingParams,
    *,
    num_samples: int,
    grader: Grader,
    job: Job,
    system_prompt: str,
    on_progress: OnProgress | None = None,
) -> list[list[GradedAnswer]]:
    """``num_samples`` graded answers to each task, in order.

    The visible answer is graded, the whole text kept. ``score`` is the rubric's in [0, 1], None
    where an item has no verdict.
    """
    said = [conversation(task, system_prompt) for task in tasks]
    prompts = [engine.chat.encode(messages) for messages in said]
    groups = engine.sample(prompts, params, num_samples=num_samples, on_progress=on_progress)
    texts = [[engine.chat.decode(one.tokens) for one in group] for group in groups]
    submissions = [
        Submission(task, [(one["role"], one["content"]) for one in messages], _visible(text))
        for task, messages, group in zip(tasks, said, texts, strict=True)
        for text in group
    ]
    scores = iter(asyncio.run(_scores(submissions, grader, job)))
    return [
        [
            _graded(task, messages, text, sampled, next(scores))
            for text, sampled in zip(group_texts, group, strict=True)
        ]
        for task, messages, group_texts, group in zip(tasks, said, texts, groups, strict=True)
    ]


def _visible(text: str) -> str:
    return split_thinking(text).answer


def _graded(
    task: RubricTask,
    messages: Sequence[dict[str, str]],
    text: str,
    sampled: Sampled,
    score: float | None,
) -> GradedAnswer:
    return GradedAnswer(
        id=task.id,
        messages=tuple(Said(role=one["role"], content=one["content"]) for one in messages),
        answer=text,
        num_tokens=len(sampled.tokens),
        score=score,
        is_cut=sampled.stop_reason != "stop",
    )


async def _scores(
    submissions: Sequence[Submission], grader: Grader, job: Job
) -> list[float | None]:
    scores: list[float | None] = [None] * len(submissions)
    async with grader.open(job) as grading:
        stream = in_flight(_numbered(submissions), _grade_with(grading), GRADED_AT_ONCE)
        async with aclosing(stream) as found:  # type: ignore[type-var]
            async for number, score in found:
                scores[number] = score
    return scores


def _grade_with(grading: Grading) -> Callable[[Numbered], Awaitable[tuple[int, float | None]]]:
    async def grade(numbered: Numbered) -> tuple[int, float | None]:
        number, submission = numbered
        return number, unit_score(await grading.grade(submission))

    return grade


async def _numbered(submissions: Sequence[Submission]) -> AsyncIterator[Numbered]:
    for numbered in enumerate(submissions):
        yield numbered
