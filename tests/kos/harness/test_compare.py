from __future__ import annotations

import pytest

from kos.errors import UserError
from kos.harness import compare
from kos.harness.compare import Attempt
from kos.harness.metrics import Metrics
from tests.kos.harness import stage
from tests.kos.harness.stage import Player

QUESTIONS = compare.load()


def answer_of(question: compare.Question) -> str:
    return "\n".join(f"- {item.name}: {item.any_of[0]}" for item in question.items)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.id)
def test_each_wide_question_can_be_answered_and_is_not_by_its_own_words(question):
    assert 6 <= len(question.items) <= 8
    assert compare.score(question, answer_of(question)) == 1
    assert compare.score(question, "\n".join(item.name for item in question.items)) == 0
    assert all(item.name in question.text for item in question.items)


def test_there_are_twenty_of_them():
    assert len({question.id for question in QUESTIONS}) == 20


def test_half_the_items_are_half_the_score():
    first, *rest = answer_of(QUESTIONS[0]).splitlines()
    assert compare.score(QUESTIONS[0], first) == 1 / (1 + len(rest))


async def test_arms_take_turns_at_being_first():
    asked: list[str] = []
    arms = {name: stage.harness(Player(lambda prompt, n: "</think>M10")) for name in ("a", "b")}
    note = lambda attempt: asked.append(attempt.arm)  # noqa: E731
    found = await compare.compare(arms, QUESTIONS[:1], on_attempt=note)
    assert asked == ["a", "b", "b", "a", "a", "b"]
    assert {one.repeat for one in found} == {0, 1, 2}


async def test_two_repeats_are_too_few():
    with pytest.raises(UserError, match="2 repeats say nothing about noise"):
        await compare.compare({}, QUESTIONS, repeats=2)


async def test_a_run_that_fails_has_no_score():
    arms = {"a": stage.harness(Player(lambda prompt, number: UserError("gone")))}
    found = await compare.compare(arms, QUESTIONS[:1])
    assert [(one.score, one.error) for one in found] == [(None, "gone")] * 3
    with pytest.raises(UserError, match="No attempt of 'a' ended"):
        compare.mean_of(found, "a", "score")


def attempt(arm: str, question: str, seconds: float, score: float) -> Attempt:
    metrics = Metrics(int(seconds), int(seconds), seconds, seconds, 10, 5, 1, 0, 0, 0)
    return Attempt(arm, question, 0, score, seconds, metrics)


ATTEMPTS = [
    *(attempt("single", str(n), 8.0, 0.5) for n in range(4)),
    *(attempt("swarm", str(n), 2.0, 0.75) for n in range(4)),
]


def test_speed_is_the_quotient_of_all_questions_together():
    found = compare.speedup(ATTEMPTS, "single", "swarm", name="seconds")
    assert found == (4.0, 4.0, 4.0)
    assert compare.speedup(ATTEMPTS, "single", "swarm", name="critical_steps").value == 4.0


def test_the_score_stands_beside_it():
    assert compare.difference(ATTEMPTS, "single", "swarm", name="score").value == 0.25


def test_the_time_to_a_score_counts_who_reaches_it():
    assert compare.time_to_score(ATTEMPTS, "single", (0.5, 0.7)) == [
        (0.5, 1.0, 8.0),
        (0.7, 0.0, None),
    ]
