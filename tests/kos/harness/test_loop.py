from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import pytest

from kos.chat.template import SYSTEM_PROMPT
from kos.errors import UserError
from kos.harness.loop import (
    AnswerDelta,
    Limits,
    ThinkingDelta,
    ToolDone,
    ToolStarted,
    TurnDone,
    TurnEvent,
    run_turn,
)
from kos.messages import Message, ToolCall
from kos.serving.client import Delta, ScriptedClient

ASK = [Message("user", "Gout?")]


@dataclass
class Echo:
    """Says its arguments again after ``seconds``."""

    name: str = "echo"
    seconds: float = 0.0

    def declare(self) -> Mapping[str, Any]:
        return {"type": "function", "function": {"name": self.name, "parameters": {}}}

    async def call(self, arguments: Mapping[str, Any]) -> str:
        await asyncio.sleep(self.seconds)
        if "fail" in arguments:
            raise UserError("the source is down")
        return f"{self.name} {arguments}"


def calls(*pairs: tuple[str, str]) -> list[Delta]:
    asked = tuple(ToolCall(f"c{i}", name, arguments) for i, (name, arguments) in enumerate(pairs))
    return [Delta(tool_calls=asked, finish_reason="tool_calls")]


async def events(client: ScriptedClient, **options: Any) -> list[TurnEvent]:
    return [event async for event in run_turn(ASK, client=client, **options)]


async def observations(*pairs: tuple[str, str], **limits: Any) -> list[str]:
    client = ScriptedClient([calls(*pairs), "Done."])
    tools = [Echo(), Echo("slow", 0.05)]
    found = await events(client, tools=tools, limits=Limits(**limits))
    return [event.observation for event in found if isinstance(event, ToolDone)]


async def test_thinking_and_answer_come_apart():
    found = await events(ScriptedClient(["<think>why</think>Rest."]))
    thinking = "".join(event.text for event in found if isinstance(event, ThinkingDelta))
    answer = "".join(event.text for event in found if isinstance(event, AnswerDelta))
    assert (thinking, answer) == ("why", "Rest.")
    assert found[-1].message == Message("assistant", "Rest.", thinking="why")


async def test_the_system_prompt_of_training_goes_first():
    client = ScriptedClient(["Rest."])
    await events(client)
    assert client.asked[0] == (Message("system", SYSTEM_PROMPT), *ASK)


async def test_a_clean_turn_has_counts_and_no_flags():
    done = (await events(ScriptedClient(["<think>why</think>Rest and fluids."], piece=50)))[-1]
    assert (done.flags, done.stop_reason, done.num_tokens) == ((), "stop", 1)
    assert done.raw == "<think>why</think>Rest and fluids."


async def test_thinking_that_the_server_parted_is_kept():
    deltas = [Delta(thinking="why"), Delta(text="Rest."), Delta(finish_reason="stop")]
    done = (await events(ScriptedClient([deltas])))[-1]
    assert done.message == Message("assistant", "Rest.", thinking="why")
    assert (done.raw, done.flags) == ("<think>why</think>Rest.", ())


async def test_a_leak_is_flagged():
    done = (await events(ScriptedClient(["Rest.</think> More."])))[-1]
    assert (done.flags, done.message.content) == (("think_leak",), "Rest. More.")


async def test_calls_run_side_by_side_and_keep_their_order():
    client = ScriptedClient([calls(("slow", "{}"), ("echo", '{"a": 1}')), "Done."])
    found = await events(client, tools=[Echo(), Echo("slow", 0.05)])
    assert [type(event) for event in found[:4]] == [ToolStarted] * 2 + [ToolDone] * 2
    assert [message.content for message in client.asked[1][-2:]] == ["slow {}", "echo {'a': 1}"]
    assert found[-1].message.content == "Done."


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("nothing", "{}", "Error: there is no tool 'nothing'. Valid names: echo, slow."),
        ("echo", '{"a', "Error: the arguments are no valid JSON"),
        ("echo", "[1]", "Error: the arguments are a list."),
        ("echo", '{"fail": 1}', "Error: the source is down"),
        ("slow", "{}", "Error: no answer after 0.01 seconds."),
    ],
)
async def test_a_wrong_call_becomes_an_observation(name, arguments, sentence):
    (observation,) = await observations((name, arguments), tool_seconds=0.01)
    assert observation.startswith(sentence)


async def test_calls_beyond_the_limit_are_told_so():
    found = await observations(("echo", "{}"), ("echo", "{}"), max_calls_per_turn=1)
    assert found == ["echo {}", "Error: at most 1 calls in one turn. Ask again."]


async def test_a_cut_call_is_not_made():
    (cut,) = calls(("echo", '{"a'))
    client = ScriptedClient([[Delta(tool_calls=cut.tool_calls, finish_reason="length")]])
    (done,) = await events(client, tools=[Echo()])
    assert done.flags == ("truncated", "empty", "unclosed_call")


async def test_the_turn_limit_ends_the_loop():
    client = ScriptedClient([calls(("echo", "{}"))] * 3)
    done = (await events(client, tools=[Echo()], limits=Limits(max_turns=3)))[-1]
    assert isinstance(done, TurnDone)
    assert (done.stop_reason, len(client.asked)) == ("turns", 3)
    assert "no_final" in done.flags


async def test_the_clock_ends_the_loop():
    client = ScriptedClient(["word " * 100], pause_seconds=0.01)
    done = (await events(client, limits=Limits(seconds=0.05)))[-1]
    assert done.stop_reason == "time"
    assert done.message.content.startswith("word")


async def test_closing_the_loop_closes_the_stream():
    client = ScriptedClient(["word " * 100])
    turn = run_turn(ASK, client=client)
    async with aclosing(turn):
        await anext(turn)
    with pytest.raises(StopAsyncIteration):
        await anext(turn)


async def test_a_server_that_fails_is_the_caller_s_to_tell():
    with pytest.raises(UserError, match="gone"):
        await events(ScriptedClient([UserError("gone")]))
