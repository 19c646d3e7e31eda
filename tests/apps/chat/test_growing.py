from __future__ import annotations

import pytest

from apps.chat.growing import Answer
from kos.harness.events import (
    AnswerDelta,
    Resampled,
    ThinkingDelta,
    ToolDone,
    ToolStarted,
    TurnStarted,
)
from kos.messages import Source, ToolCall

CALL = ToolCall("call_0", "look_up", '{"query": "gout"}')


@pytest.fixture
def answer() -> Answer:
    answer = Answer(1)
    answer.take(TurnStarted(1))
    return answer


def test_words_before_a_call_move_to_the_thinking(answer):
    answer.take(ThinkingDelta("Hm."))
    answer.take(AnswerDelta("I look."))
    answer.take(ToolStarted(CALL))
    assert (answer.content, answer.thinking) == ("", "Hm.\n\nI look.\n\n")
    assert answer.draft.epoch == 1


def test_a_call_runs_and_then_brings_its_sources(answer):
    answer.take(ToolStarted(CALL))
    assert answer.draft.tools[0]["is_running"]
    source = Source("S1", "Rest", "", "Rest.", {})
    answer.take(ToolDone(CALL, "text", False, 0.2, "note", "embedded", (source,)))
    tool = answer.draft.tools[0]
    assert (tool["is_running"], tool["mode"], tool["sources"]) == (False, "embedded", ["S1"])
    assert [one["id"] for one in answer.draft.sources] == ["S1"]


def test_two_calls_of_one_id_are_told_apart_by_their_agent(answer):
    answer.take(ToolStarted(CALL))
    answer.take(ToolStarted(CALL, "sub"))
    answer.take(ToolDone(CALL, "text", False, 0.2, agent="sub"))
    assert [tool["is_running"] for tool in answer.tools] == [True, False]


def test_a_turn_drawn_again_takes_back_what_it_said(answer):
    answer.take(AnswerDelta("bad"))
    answer.take(Resampled(1, ("empty",)))
    assert (answer.content, answer.epoch) == ("", 1)


def test_what_sub_agents_say_is_not_the_answer(answer):
    answer.take(AnswerDelta("inside", "sub"))
    assert answer.content == ""
