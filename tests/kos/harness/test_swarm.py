from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from kos.errors import UserError
from kos.harness import swarm
from kos.harness.loop import AgentDone, AgentStarted, AnswerDelta, ToolDone
from kos.harness.metrics import measure
from kos.messages import ToolCall, ToolRecord, TurnRecord
from tests.kos.harness import stage
from tests.kos.harness.stage import Echo, Player, kimi_calls

CREATE = [
    ("create_subagent", {"name": name, "system_prompt": f"You are {name}."}) for name in "ab"
]
ASSIGN = [("assign_task", {"agent": name, "prompt": f"Task of {name}."}) for name in "ab"]


def play(prompt: str, number: int) -> str:
    """The orchestrator creates two agents and gives each a task; they look one thing up."""
    is_agent = "You are a sub-agent." in prompt
    num_calls = prompt.count("<|tool_call_begin|>")
    if is_agent and not num_calls:
        return kimi_calls(("echo", {"query": prompt.split("Task of ")[1][0]}))
    if is_agent:
        mark = prompt.split("\n[S")[1].split("]")[0]
        return f"</think>It is so [S{mark}]."
    if not num_calls:
        return kimi_calls(*CREATE)
    return kimi_calls(*ASSIGN, start=2) if num_calls == 2 else "</think>Both [S1, S2]."


def swarming(player: Player, *tools, **options):
    limits = options.pop("limits", {})
    return stage.harness(player, *tools, options={"mode": "swarm", **options}, limits=limits)


def test_the_two_tools_are_declared_as_published():
    path = Path(__file__).with_name("swarm_tools.json")
    assert json.loads(path.read_text()) == [swarm.CREATE_SUBAGENT, swarm.ASSIGN_TASK]


async def test_sub_agents_work_apart_and_only_their_result_comes_back():
    player = Player(play)
    end = await stage.done(swarming(player, Echo()))
    assert end.message.content == "Both [S1, S2]."
    of_a = [
        prompt
        for prompt in player.prompts
        if "Task of a." in prompt and "You are a sub-agent." in prompt
    ]
    assert not any("Task of b." in prompt or "Gout?" in prompt for prompt in of_a[:2])
    (last,) = [prompt for prompt in player.prompts if prompt.count("tool_call_begin") == 4]
    assert "It is so [S1]." in last
    assert "[S1] source=" not in last


async def test_sources_of_sub_agents_can_be_cited_by_the_orchestrator():
    end = await stage.done(swarming(Player(play), Echo()))
    assert ([one.id for one in end.citations], end.flags) == (["S1", "S2"], ())
    assert {source.title for source in end.sources} == {"a", "b"}


async def test_events_say_whose_they_are():
    found = await stage.events(swarming(Player(play), Echo()))
    assert {e.agent for e in found if isinstance(e, AnswerDelta)} == {"", "a", "b"}
    assert [e.agent for e in found if isinstance(e, AgentStarted)] == ["a", "b"]
    ended = [e for e in found if isinstance(e, AgentDone)]
    assert [(e.num_turns, e.num_calls, e.is_error) for e in ended] == [(2, 1, False)] * 2
    assert {e.agent for e in found if isinstance(e, ToolDone)} == {"", "a", "b"}


async def test_the_orchestrator_keeps_its_own_tools():
    player = Player(play)
    await stage.done(swarming(player, Echo()))
    declared = player.prompts[0].split("<|im_end|>")[0]
    assert all(
        f"type {name} = " in declared for name in ("echo", "create_subagent", "assign_task")
    )
    of_agent = next(prompt for prompt in player.prompts if "You are a sub-agent." in prompt)
    assert "type create_subagent = " not in of_agent


async def test_at_most_so_many_sub_agents_work_at_a_time():
    at_work, most = 0, 0

    class Slow(Echo):
        async def call(self, arguments, desk):
            nonlocal at_work, most
            at_work, most = at_work + 1, max(most, at_work + 1)
            await asyncio.sleep(0.02)
            at_work -= 1
            return await super().call(arguments, desk)

    await stage.done(swarming(Player(play), Slow(), parallel_agents=1))
    assert most == 1


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            ("assign_task", {"agent": "z", "prompt": "x"}),
            "Error: unknown_agent: there is no agent 'z'. Valid: a, b.",
        ),
        (CREATE[0], "Error: name_taken: the name 'a' cannot be used. Names in use: a, b."),
        (
            ("create_subagent", {"name": "c", "system_prompt": "x"}),
            "Error: too_many_agents: at most 2",
        ),
    ],
)
async def test_a_wrong_order_becomes_an_observation(call, sentence):
    player = Player([kimi_calls(*CREATE), kimi_calls(call, start=2), "</think>Done."])
    end = await stage.done(swarming(player, Echo(), max_agents=2))
    assert end.tools[-1].observation.startswith(sentence)


async def test_a_sub_agent_that_fails_is_an_observation():
    def failing(prompt: str, number: int):
        return (
            UserError("the server is gone")
            if "You are a sub-agent." in prompt
            else play(prompt, number)
        )

    player = Player(lambda p, n: failing(p, n))
    end = await stage.done(swarming(player, Echo()))
    said = [tool.observation for tool in end.tools if tool.call.name == "assign_task"]
    assert said[0].startswith("Error: agent_failed: a: the server is gone. Do it yourself")
    assert (end.message.content, end.flags) == ("Both.", ("unknown_citation",))


async def test_a_result_is_cut_to_its_budget():
    words = " ".join(f"Fact {place} is this." for place in range(2_000))

    def wordy(prompt: str, number: int) -> str:
        is_agent = "You are a sub-agent." in prompt
        return f"</think>{words}" if is_agent else play(prompt, number)

    end = await stage.done(swarming(Player(wordy), Echo(), agent_tokens=100))
    said = next(tool for tool in end.tools if tool.call.name == "assign_task").observation
    assert len(said) / 4 < 120
    assert "tokens not shown" in said


async def test_the_same_agent_twice_is_told_apart():
    twice = [("assign_task", {"agent": "a", "prompt": "Task of a."})] * 2

    def again(prompt: str, number: int) -> str:
        is_second = "You are a sub-agent." not in prompt and prompt.count("tool_call_begin") == 2
        return kimi_calls(*twice, start=2) if is_second else play(prompt, number)

    end = await stage.done(swarming(Player(again), Echo()))
    assert {turn.agent for turn in end.turns} == {"", "a", "a-2"}


def turn(number: int, seconds: float, *, agent: str = "", started: float = 0.0) -> TurnRecord:
    return TurnRecord(
        number, "", "", "", (), "stop", (), 10, 5, started, None, seconds, agent=agent
    )


def call(number: int, seconds: float, *, agent: str = "", notice: str = "") -> ToolRecord:
    asked = ToolCall("x", "assign_task" if notice else "echo", "{}")
    return ToolRecord(asked, "", notice, "", False, 0.0, seconds, number, agent=agent)


def test_critical_steps_are_the_orchestrator_s_and_the_longest_sub_agent_s():
    # Turn 1: create; turn 2: agents of 3 and 2 steps; turn 3: answer. (1) + (1 + 3) + (1) = 6.
    main = [turn(1, 1.0), turn(2, 1.0, started=1), turn(3, 1.0, started=13)]
    subs = [turn(n, 2.0, agent="a") for n in (1, 2, 3)] + [turn(n, 5.0, agent="b") for n in (1, 2)]
    calls = [
        call(2, 11.0, notice="agent=a"),
        call(2, 10.5, notice="agent=b"),
        call(1, 0.5, agent="b"),
    ]
    found = measure([*main, *subs], calls)
    assert (found.critical_steps, found.total_steps) == (6, 8)
    assert found.ideal_seconds == pytest.approx(3.0 + 10.5)  # b: two turns and one call
    assert found.wall_seconds == pytest.approx(14.0)
    assert (found.num_agents, found.num_assigned, found.num_finished) == (2, 2, 2)
    assert (found.num_tokens, found.num_prompt_tokens, found.num_calls) == (40, 80, 3)


def test_alone_every_step_is_critical():
    found = measure([turn(1, 1.0), turn(2, 1.0)], [call(1, 0.3), call(1, 0.2)])
    assert (found.critical_steps, found.total_steps) == (2, 2)
    assert found.ideal_seconds == pytest.approx(2.3)


async def test_a_run_s_own_records_suffice_to_measure_it():
    end = await stage.done(swarming(Player(play), Echo()))
    found = measure(end.turns, end.tools)
    assert (found.critical_steps, found.total_steps) == (5, 7)
    assert found.ideal_seconds <= found.wall_seconds
