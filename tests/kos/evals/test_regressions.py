from __future__ import annotations

import pytest

from kos.evals.regressions import Said, banded, call_f1, rates, style_of
from kos.evals.statistics import wilson
from kos.events import RolloutDone
from kos.messages import ToolCall, ToolRecord, TurnRecord

CALL = ToolCall("functions.search_icd:0", "search_icd", '{"query": "gout"}')


def turn(*flags: str, number: int = 1, calls=(), raw: str = "", prompt: int = 0) -> TurnRecord:
    return TurnRecord(number, raw, "", "", calls, "stop", flags, prompt, 9, 0.0, None, 1.0)


def tool(*, is_error: bool = False) -> ToolRecord:
    return ToolRecord(CALL, "M10.9", "", "embedded", is_error, 0.0, 0.1, 1)


def said(answer="Rest.", *flags: str, turns=(), tools=()) -> Said:
    rollout = RolloutDone(
        model="m",
        example_id="e",
        sample=0,
        messages=({"role": "user", "content": "What helps?"},),
        answer=answer,
        thinking="",
        raw=answer,
        num_tokens=5,
        num_answer_tokens=5,
        stop_reason="stop",
        items=(),
        score=None,
        flags=flags,
        turns=turns,
        tools=tools,
    )
    return Said.of(rollout)


def found(answers, name):
    return next(rate for rate in rates(answers) if rate.name == name)


def test_a_rate_has_its_wilson_interval():
    leak = found([said("x", "stray_think_close"), *[said()] * 9], "think_leak")
    assert (leak.hits, leak.n, leak.value) == (1, 10, 0.1)
    assert (leak.low, leak.high) == wilson(1, 10)


def test_a_fault_that_never_occurs_is_listed_at_zero():
    assert found([said()], "action_loop").value == 0.0
    assert found([said()], "call_errors").value is None


def test_a_leak_counts_in_the_final_answer_only():
    early = (turn("stray_think_close", calls=(CALL,)), turn(number=2))
    late = (turn(calls=(CALL,)), turn("stray_think_close", number=2))
    assert found([said(turns=early)], "think_leak").hits == 0
    assert found([said(turns=late)], "think_leak").hits == 1
    assert found([said(turns=early)], "stray_close").hits == 1


def test_unclosed_thinking_leaks_only_where_something_is_shown():
    assert found([said("", "unclosed_think")], "think_leak").hits == 0
    assert found([said("I think", "unclosed_think")], "think_leak").hits == 1


def test_calls_are_counted_over_turns_that_begin_one():
    turns = (turn("unclosed_call", raw="<tool_call>{"), turn(calls=(CALL,)), turn())
    open_calls = found([said(turns=turns)], "open_call_turns")
    assert (open_calls.hits, open_calls.n) == (1, 2)
    assert found([said(turns=turns)], "schema_valid").hits == 1


def test_rates_are_told_by_turns_and_by_context():
    short = said(turns=(turn(prompt=900),))
    long = said("x", "unclosed_call", turns=tuple(turn(prompt=20_000) for _ in range(5)))
    bands = banded([short, long], "unclosed_call")
    assert [(row["hits"], row["n"]) for row in bands["turns"]] == [(0, 1), (0, 0), (1, 1), (0, 0)]
    assert [(row["hits"], row["n"]) for row in bands["context"]] == [
        (0, 1),
        (0, 0),
        (1, 1),
        (0, 0),
    ]


def test_style_is_counted_over_all_words():
    style = style_of([said("Take ZQX for CKD today."), said("# Plan\n\n- rest now")])
    assert style is not None
    assert style.abbreviations == pytest.approx(1000 * 2 / 8)
    assert style.most_invented == (("ZQX", 1),)
    assert (style.headings, style.bullet_depth) == (0.5, 0.5)
    assert style_of([said("")]) is None


def test_call_f1_compares_with_a_reference_run():
    calling, silent = said(tools=(tool(),)), said()
    ours = {("a", 0): calling, ("b", 0): calling, ("c", 0): silent, ("d", 0): silent}
    theirs = {("a", 0): calling, ("b", 0): silent, ("c", 0): calling, ("e", 0): calling}
    compared = call_f1(ours, theirs)
    assert (compared.both, compared.only_candidate, compared.only_reference) == (1, 1, 1)
    assert compared.f1 == 0.5
    assert call_f1({("a", 0): silent}, {("a", 0): silent}).f1 is None
