"""An orchestrator that hands parts of its work to sub-agents.

A sub-agent is a question of its own with its own context; only its result comes back. The
orchestrator keeps the tools: one that may only delegate forgets how to work
(OpenPARL). Source: Kimi K2.5 report, section 3 and appendix E.8.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from kos.chat.neutralise import neutralise
from kos.errors import UserError
from kos.harness.calls import Bench, Reply, Tool
from kos.harness.citations import cited
from kos.harness.events import AgentDone, AgentStarted, TurnDone
from kos.harness.refusals import CallError
from kos.messages import Message, ToolRecord, TurnRecord
from kos.tools.desk import Desk

if TYPE_CHECKING:
    from kos.harness.loop import Harness

# The orchestrator needs the rest of the time to put the results together.
AGENT_SECONDS_SHARE = 0.85
# How an assignment names its sub-agent in ``ToolRecord.notice``.
AGENT_NOTICE = "agent="

ORCHESTRATOR_PROMPT = (
    "You may hand independent parts of a question to sub-agents: create each with "
    "create_subagent, then give all of them their tasks with assign_task in one turn, so that "
    "they work at the same time. A sub-agent sees nothing but its task, has the same tools, and "
    "returns one result whose sources you may cite. Do small questions yourself."
)
AGENT_PROMPT = (
    "You are a sub-agent. Do the task you are given with your tools and return only its result: "
    "short, with the source of each fact as [S3]. Say what you could not find."
)

CREATE_SUBAGENT: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": "create_subagent",
        "description": (
            "Register a sub-agent with a unique name and a system prompt. No work is done yet."
        ),
        "parameters": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "description": "Unique name"},
                "system_prompt": {
                    "type": "string",
                    "description": "Role, capabilities and limits of the agent",
                },
            },
            "required": ["name", "system_prompt"],
            "additionalProperties": False,
        },
    },
}
ASSIGN_TASK: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": "assign_task",
        "description": (
            "Give a task to a created sub-agent. Several calls in one turn run at the same time."
        ),
        "parameters": {
            "type": "object",
            "properties": {
                "agent": {"type": "string", "description": "Name of a created agent"},
                "prompt": {
                    "type": "string",
                    "description": "The task, with all the information it needs",
                },
            },
            "required": ["agent", "prompt"],
            "additionalProperties": False,
        },
    },
}


@dataclass
class Swarm:
    """The sub-agents of one question; ``turns`` and ``records`` are what all of them did."""

    harness: Harness
    bench: Bench
    prompts: dict[str, str] = field(default_factory=dict)
    turns: list[TurnRecord] = field(default_factory=list)
    records: list[ToolRecord] = field(default_factory=list)
    _num_tasks: dict[str, int] = field(default_factory=dict)
    _gate: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._gate = asyncio.Semaphore(self.harness.options.parallel_agents)

    @property
    def tools(self) -> tuple[Tool, Tool]:
        """The orchestrator's two tools."""
        return CreateSubagent(self), AssignTask(self)

    def brief(self, messages: Sequence[Message]) -> list[Message]:
        """The conversation with the orchestrator's part of the system prompt."""
        first, rest = messages[:1], messages[1:]
        if first and first[0].role == "system":
            content = f"{first[0].content}\n\n{ORCHESTRATOR_PROMPT}"
            return [replace(first[0], content=content), *rest]
        return [Message("system", ORCHESTRATOR_PROMPT), *messages]

    def create(self, name: str, system_prompt: str) -> None:
        """Register a sub-agent; ``CallError`` for a name that is taken, or one too many."""
        name = name.strip()
        if not name or name in self.prompts:
            taken = ", ".join(self.prompts) or "none"
            raise CallError(
                "name_taken", f"the name {name!r} cannot be used", f"Names in use: {taken}."
            )
        limit = self.harness.options.max_agents
        if len(self.prompts) >= limit:
            raise CallError(
                "too_many_agents",
                f"at most {limit} sub-agents for one question",
                f"Give their tasks to: {', '.join(self.prompts)}.",
            )
        self.prompts[name] = neutralise(system_prompt)

    async def work(self, agent: str, prompt: str) -> Reply:
        """Let a sub-agent do a task; a failure is an observation like any other."""
        if agent not in self.prompts:
            known = ", ".join(self.prompts) or "none; create one with create_subagent first"
            raise CallError("unknown_agent", f"there is no agent {agent!r}", f"Valid: {known}.")
        self._num_tasks[agent] = number = self._num_tasks.get(agent, 0) + 1
        label = agent if number == 1 else f"{agent}-{number}"
        async with self._gate:
            self.bench.queue.put_nowait(AgentStarted(label, prompt))
            try:
                done = await self._answer(label, self.prompts[agent], prompt)
                reply = self._result(label, done)
            except UserError as error:
                done, reply = None, _failure(label, str(error))
        self._tell(label, reply, done)
        return reply

    async def _answer(self, label: str, system_prompt: str, prompt: str) -> TurnDone:
        # Here, for a question of a sub-agent is one like any other, and that is made of this.
        from kos.harness.question import Question

        book = self.bench.book.page()
        book.show(cited(prompt))
        asked = [
            Message("system", f"{system_prompt}\n\n{AGENT_PROMPT}"),
            Message("user", prompt),
        ]
        question = Question.open(
            self._harness(label),
            asked,
            earlier=tuple(book.seen.values()),
            book=book,
            agent=label,
            clock=self.bench.started,
        )
        try:
            async with aclosing(question.run()) as events:
                async for event in events:
                    if isinstance(event, TurnDone):
                        return event
                    self.bench.queue.put_nowait(event)
        finally:
            self.turns.extend(question.turns)
            self.records.extend(question.bench.records)
        raise AssertionError("the loop ended without TurnDone")

    def _harness(self, label: str) -> Harness:
        options, limits = self.harness.options, self.harness.limits
        return replace(
            self.harness,
            name=label,
            options=options.model_copy(update={"mode": "single", "faithfulness": False}),
            limits=replace(
                limits,
                max_turns=options.agent_turns,
                max_calls=options.agent_calls,
                seconds=limits.seconds * AGENT_SECONDS_SHARE,
            ),
        )

    def _result(self, label: str, done: TurnDone) -> Reply:
        if not done.message.content.strip() or "no_final" in done.flags:
            return _failure(label, f"it ended without a result ({done.stop_reason})")
        budget = replace(
            self.bench.budget, per_result=self.harness.options.agent_tokens, left=10**9
        )
        text = budget.shorten(neutralise(done.message.content))
        ids = cited(text)
        self.bench.book.show(ids)
        for name in ids:
            if source := self.bench.book.seen.get(name):
                self.bench.desk.sources[name] = source
                self.bench.desk.known_urls.update([source.url] if source.url else [])
        return Reply(text, AGENT_NOTICE + label)

    def _tell(self, label: str, reply: Reply, done: TurnDone | None) -> None:
        turns = [turn for turn in self.turns if turn.agent == label]
        calls = [record for record in self.records if record.agent == label]
        seconds = done.seconds if done else 0.0
        if turns:
            seconds = turns[-1].started + turns[-1].seconds - turns[0].started
        self.bench.queue.put_nowait(
            AgentDone(label, reply.text, reply.is_error, len(turns), len(calls), seconds)
        )


@dataclass(frozen=True)
class CreateSubagent:
    """Registers a sub-agent."""

    swarm: Swarm
    name: str = "create_subagent"

    def declare(self) -> Mapping[str, Any]:
        """Its declaration."""
        return CREATE_SUBAGENT

    async def call(self, arguments: Mapping[str, Any], desk: Desk) -> Reply:
        """Register it."""
        self.swarm.create(arguments["name"], arguments["system_prompt"])
        return Reply(f"Created {neutralise(arguments['name'].strip())}.")


@dataclass(frozen=True)
class AssignTask:
    """Gives a sub-agent a task and waits for its result."""

    swarm: Swarm
    name: str = "assign_task"

    @property
    def timeout_seconds(self) -> float:
        """As long as the question may take; the sub-agent watches the clock itself."""
        return self.swarm.harness.limits.seconds

    def declare(self) -> Mapping[str, Any]:
        """Its declaration."""
        return ASSIGN_TASK

    async def call(self, arguments: Mapping[str, Any], desk: Desk) -> Reply:
        """Do it."""
        return await self.swarm.work(arguments["agent"].strip(), arguments["prompt"])


def _failure(label: str, why: str) -> Reply:
    error = CallError(
        "agent_failed", f"{label}: {why}", "Do it yourself, or assign it again in smaller parts."
    )
    return Reply(str(error), AGENT_NOTICE + label, is_error=True)
