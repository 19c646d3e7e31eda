from __future__ import annotations

import pytest

from kos.data.answers import GradedAnswer, Said
from kos.rl.long2short.rules import pairs, shortest_correct


def answer(num_tokens: int, score: float | None) -> GradedAnswer:
    return GradedAnswer(
        id="p",
        messages=(Said(role="user", content="?"),),
        answer=f"{num_tokens} {score}",
        num_tokens=num_tokens,
        score=score,
    )


def against(*answers: GradedAnswer) -> dict[int, str]:
    return {pair.rejected_tokens: pair.why for pair in pairs(answers, 0.5)}


def test_the_shortest_correct_answer_is_kept():
    group = [answer(5, 0.4), answer(30, 1.0), answer(12, 0.5), answer(20, 0.9)]
    assert shortest_correct(group, 0.5) is group[2]


def test_none_is_kept_when_none_is_correct():
    assert shortest_correct([answer(5, 0.4), answer(9, None)], 0.5) is None
    assert pairs([answer(5, 0.4), answer(9, 0.0)], 0.5) == []


def test_of_equals_the_first_is_kept():
    group = [answer(5, 1.0), answer(5, 0.9)]
    assert shortest_correct(group, 0.5) is group[0]


@pytest.mark.parametrize(("num_tokens", "is_pair"), [(9, False), (10, False), (11, True)])
def test_a_wrong_answer_is_a_negative_when_it_is_longer(num_tokens, is_pair):
    assert against(answer(10, 1.0), answer(num_tokens, 0.0)) == (
        {num_tokens: "wrong"} if is_pair else {}
    )


@pytest.mark.parametrize(("num_tokens", "is_pair"), [(14, False), (15, True), (16, True)])
def test_a_correct_answer_is_a_negative_from_one_and_a_half_times_the_length(num_tokens, is_pair):
    assert against(answer(10, 1.0), answer(num_tokens, 0.9)) == (
        {num_tokens: "long"} if is_pair else {}
    )


def test_an_ungraded_answer_is_no_negative():
    assert against(answer(10, 1.0), answer(99, None)) == {}


def test_a_pair_carries_both_texts():
    [pair] = pairs([answer(10, 1.0), answer(40, 0.2)], 0.5)
    assert (pair.chosen, pair.rejected) == ("10 1.0", "40 0.2")
    assert (pair.chosen_tokens, pair.rejected_tokens) == (10, 40)
