"""Pairs whose better answer is known, because a verifier or checks decided it."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from typing import NamedTuple

from kos.chat.parse import split_thinking
from kos.data.answers import GradedAnswer
from kos.data.rubrics import UseCase
from kos.engine.base import Datum, Engine
from kos.rl.critic.judgement import Letter
from kos.rl.critic.rubrics import Rubric
from kos.rl.critic.verdicts import letter_datum
from kos.rl.critic.wording import Messages, Spoken, ask_pair


class Labelled(NamedTuple):
    """Two answers to one prompt, as a reader sees them, the better one named."""

    prompt_id: str
    spoken: Spoken
    better: str
    worse: str
    use_case: UseCase = "other"


class Question(NamedTuple):
    """A comparison as the critic is asked it, and the letter that is right."""

    messages: Messages
    right: Letter


def pairs_of(
    answers: Sequence[GradedAnswer],
    *,
    margin: float,
    limit: int,
    seed: int,
    use_case: UseCase = "other",
) -> list[Labelled]:
    """At most ``limit`` pairs of one prompt's answers whose scores are ``margin`` apart.

    Which ones depends on seed and prompt alone. Answers that read alike are no pair.
    """
    found = [
        Labelled(one.id, _spoken(one), visible(one), visible(other), use_case)
        for one in answers
        for other in answers
        if one.score is not None
        and other.score is not None
        and one.score - other.score >= margin
        and visible(one) != visible(other)
    ]
    draw = random.Random(f"{seed},{found[0].prompt_id if found else ''}")  # noqa: S311 (no secret)
    return found if len(found) <= limit else draw.sample(found, limit)


def both_orders(pair: Labelled, rubrics: Sequence[Rubric]) -> tuple[Question, Question]:
    """The pair asked with the better answer as A, then as B."""
    return (
        Question(ask_pair(pair.spoken, pair.better, pair.worse, rubrics), "a"),
        Question(ask_pair(pair.spoken, pair.worse, pair.better, rubrics), "b"),
    )


def lessons(engine: Engine, questions: Sequence[Question]) -> list[Datum]:
    """What cross-entropy learns: the right letter, each question with the same weight."""
    return [
        letter_datum(engine, engine.chat.encode(question.messages), question.right).weighted(
            1 / len(questions)
        )
        for question in questions
    ]


def held_out(prompt_ids: Sequence[str], share: float, seed: int) -> set[str]:
    """So many prompts to measure on, drawn by a hash: a prompt never changes sides."""
    ordered = sorted(
        set(prompt_ids), key=lambda one: hashlib.sha256(f"{seed},{one}".encode()).digest()
    )
    return set(ordered[: math.ceil(share * len(ordered))])


def visible(answer: GradedAnswer) -> str:
    """What the reader sees: thinking is never compared."""
    return split_thinking(answer.answer).answer


def _spoken(answer: GradedAnswer) -> Spoken:
    return [(one.role, one.content) for one in answer.messages if one.role != "system"]
