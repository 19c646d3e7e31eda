from __future__ import annotations

from kos.data.answers import GradedAnswer, Said
from kos.rl.critic.labelled import both_orders, held_out, pairs_of
from kos.rl.critic.rubrics import RUBRICS

MESSAGES = (Said(role="system", content="Be brief."), Said(role="user", content="2 + 2?"))


def answer(text: str, score: float | None) -> GradedAnswer:
    return GradedAnswer(id="p", messages=MESSAGES, answer=text, score=score)


def found(*answers, margin=0.5, limit=99):
    return pairs_of(answers, margin=margin, limit=limit, seed=1)


def test_the_right_answer_is_the_better_one():
    pairs = found(answer("4", 1.0), answer("5", 0.0), answer("four", 1.0))
    assert {(pair.better, pair.worse) for pair in pairs} == {("4", "5"), ("four", "5")}


def test_scores_too_close_and_missing_ones_make_no_pair():
    assert found(answer("4", 0.7), answer("5", 0.4), answer("6", None)) == []


def test_thinking_is_not_compared_and_alike_answers_are_no_pair():
    [pair] = found(answer("<think>2 and 2</think>4", 1.0), answer("5", 0.0))
    assert pair.better == "4"
    assert found(answer("<think>sure</think>4", 1.0), answer("<think>no</think>4", 0.0)) == []


def test_so_many_pairs_a_prompt_and_always_the_same():
    group = [answer("4", 1.0), *(answer(str(number), 0.0) for number in range(10))]
    assert len(found(*group, limit=3)) == 3
    assert found(*group, limit=3) == found(*group, limit=3)


def test_a_pair_is_asked_in_both_orders_without_the_system_prompt():
    [pair] = found(answer("4", 1.0), answer("5", 0.0))
    forth, back = both_orders(pair, [RUBRICS["clarity"]])
    assert (forth.right, back.right) == ("a", "b")
    assert "<answer_a>\n4\n</answer_a>" in forth.messages[1]["content"]
    assert "<answer_a>\n5\n</answer_a>" in back.messages[1]["content"]
    assert "Be brief" not in forth.messages[1]["content"]


def test_a_prompt_stays_held_out_when_others_come():
    few = held_out([f"p{n}" for n in range(10)], 0.3, seed=1)
    assert len(few) == 3
    assert few == held_out([f"p{n}" for n in reversed(range(10))] * 2, 0.3, seed=1)
