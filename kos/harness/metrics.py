"""What a question cost, seen from its records: steps, seconds, tokens.

Critical steps are Σ over the orchestrator's turns t of S_main(t) + max over the sub-agents i
of that turn of S_sub,i(t): what would be left of the steps with unlimited parallel work.
Source: Kimi K2.5 report, section 3. The ideal seconds are the same sum over recorded times, so
that queueing for a turn of work does not count; queueing inside the server does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kos.harness.swarm import AGENT_NOTICE
from kos.messages import ToolRecord, TurnRecord


@dataclass(frozen=True)
class Metrics:
    """Numbers of one question. ``wall_seconds`` are from the first turn's begin to the last
    one's end; a step is one generation.
    """

    critical_steps: int
    total_steps: int
    wall_seconds: float
    ideal_seconds: float
    num_prompt_tokens: int
    num_tokens: int
    num_calls: int
    num_agents: int
    num_assigned: int
    num_finished: int


def measure(turns: Sequence[TurnRecord], tools: Sequence[ToolRecord]) -> Metrics:
    """The numbers of a question, alone or with sub-agents."""
    assigned = [tool for tool in tools if tool.notice.startswith(AGENT_NOTICE)]
    steps, seconds = _path("", turns, tools)
    ends = [turn.started + turn.seconds for turn in turns]
    begins = [turn.started for turn in turns]
    return Metrics(
        critical_steps=steps,
        total_steps=len(turns),
        wall_seconds=max(ends, default=0.0) - min(begins, default=0.0),
        ideal_seconds=seconds,
        num_prompt_tokens=sum(turn.num_prompt_tokens for turn in turns),
        num_tokens=sum(turn.num_tokens for turn in turns),
        num_calls=len(tools),
        num_agents=len({turn.agent for turn in turns if turn.agent}),
        num_assigned=len(assigned),
        num_finished=sum(not tool.is_error for tool in assigned),
    )


def _path(
    agent: str, turns: Sequence[TurnRecord], tools: Sequence[ToolRecord]
) -> tuple[int, float]:
    """Steps and seconds of the longest way through an agent's turns."""
    steps, seconds = 0, 0.0
    own = [turn for turn in turns if turn.agent == agent]
    for number in sorted({turn.turn for turn in own}):
        now = [turn for turn in own if turn.turn == number]
        calls = [tool for tool in tools if tool.agent == agent and tool.turn == number]
        ways = [_way(call, turns, tools) for call in calls]
        steps += len(now) + max((way[0] for way in ways), default=0)
        seconds += sum(turn.seconds for turn in now) + max((way[1] for way in ways), default=0.0)
    return steps, seconds


def _way(
    call: ToolRecord, turns: Sequence[TurnRecord], tools: Sequence[ToolRecord]
) -> tuple[int, float]:
    if call.notice.startswith(AGENT_NOTICE):
        return _path(call.notice.removeprefix(AGENT_NOTICE), turns, tools)
    return 0, call.seconds
