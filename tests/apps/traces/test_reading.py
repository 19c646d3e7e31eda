from __future__ import annotations

import math

import pytest

from apps.traces import reading
from apps.traces.models import Trace


def record(arguments: str, **more):
    return {"call": {"id": "1", "name": "look_up", "arguments": arguments}, **more}


@pytest.mark.parametrize(
    ("arguments", "query"),
    [
        ('{"limit": 3, "query": "gout\\n dose"}', "gout dose"),
        ('{"note": "x", "url": "https://x.org"}', "https://x.org"),
        ('{"count": 3, "other": "words"}', "words"),
        ("{}", ""),
        ("no json", "no json"),
        ("[1]", "[1]"),
    ],
)
def test_a_card_says_in_a_line_what_was_asked(arguments, query):
    assert reading.call(0, record(arguments)).query == query


def test_the_same_call_has_the_same_key_however_it_is_written():
    one = reading.call(0, record('{"a": 1, "b": 2}'))
    other = reading.call(5, record('{"b":2,"a":1}'))
    assert one.key == other.key


def test_tokens_are_tinted_by_how_unlikely_they_were():
    chances = [1.0, 0.8, 0.3, 0.1, 0.01]
    logprobs = [math.log(chance) for chance in chances]
    turn = {"token_ids": [5, 6, 7, 8, 9], "tokens": list("abcde"), "logprobs": logprobs}
    found = reading.tokens(turn)
    assert [token.tint for token in found] == [0, 1, 2, 3, 4]
    assert [token.text for token in found] == list("abcde")
    assert found[1].probability == pytest.approx(0.8)


def test_tokens_without_text_are_shown_by_number():
    assert [token.text for token in reading.tokens({"token_ids": [5], "logprobs": [-1]})] == [
        "#5 "
    ]
    assert reading.tokens({}) == []


def test_a_turn_has_the_calls_it_made():
    turns = [{"turn": 1}, {"turn": 2}, {"turn": 1, "agent": "sub"}]
    tools = [record("{}", turn=1), record("{}", turn=2), record("{}", turn=1, agent="sub")]
    found = reading.turns(Trace(turns=turns, tools=tools))
    assert [[call.place for call in turn.calls] for turn in found] == [[0], [1], [2]]


def test_the_prompt_ends_with_the_question_where_turns_tell_the_rest():
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Gout?"},
        {"role": "assistant", "content": ""},
        {"role": "tool", "content": "found"},
    ]
    whole = Trace(messages=messages, turns=[])
    assert len(reading.prompt(whole)) == 4
    assert len(reading.prompt(Trace(messages=messages, turns=[{"turn": 1}]))) == 2
