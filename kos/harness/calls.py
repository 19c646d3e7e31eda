"""The calls of one turn: checked, made side by side, kept in order.

Whatever is wrong with a call becomes an observation that the model can mend.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

from kos.errors import UserError
from kos.harness.citations import SourceBook
from kos.harness.events import ToolDone, ToolStarted, TurnEvent
from kos.harness.observations import Budget, Observation, harmless, query_of
from kos.harness.options import Limits
from kos.harness.refusals import CallError, check_arguments, unknown_function
from kos.messages import ToolCall, ToolRecord
from kos.tools.base import Found
from kos.tools.desk import Desk

# An identical call is pointed out when it is made for the third, fifth and eighth time, and
# ends the tool use at the twelfth.
REMIND_AT = (3, 5, 8)
STOP_AT = 12


class Reply(NamedTuple):
    """An observation that is not a source: what a tool of the harness itself says."""

    text: str
    notice: str = ""
    is_error: bool = False


class Tool(Protocol):
    """Something the model may call; ``kos.tools.base.Tool`` is one."""

    @property
    def name(self) -> str:
        """What the model calls it by."""

    def declare(self) -> Mapping[str, Any]:
        """Its OpenAI function declaration."""

    async def call(self, arguments: Mapping[str, Any], desk: Desk) -> Found | Reply:
        """Do it; ``UserError`` becomes an observation."""


@runtime_checkable
class SlowTool(Protocol):
    """A tool with a time limit of its own, in seconds."""

    @property
    def timeout_seconds(self) -> float:
        """How long a call may take."""


class Asked(NamedTuple):
    """A call as the turn was read. ``refusal`` is what the model reads where it cannot be made
    as it was written; ``arguments`` are then not used.
    """

    call: ToolCall
    arguments: Any
    refusal: str = ""


class Ended(NamedTuple):
    """How a call ended. ``started`` is the clock's, ``seconds`` how long it took."""

    result: Found | Reply
    started: float
    seconds: float


def schema_of(declaration: Mapping[str, Any]) -> Mapping[str, Any]:
    """The JSON Schema of a declaration's arguments."""
    parameters: Mapping[str, Any] = declaration["function"].get("parameters") or {}
    return parameters


@dataclass
class Bench:
    """Where the calls of one question are made: its tools, what they may use and have found."""

    tools: Sequence[Tool]
    desk: Desk
    book: SourceBook
    budget: Budget
    limits: Limits
    agent: str = ""
    started: float = field(default_factory=time.perf_counter)
    records: list[ToolRecord] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)
    queue: asyncio.Queue[TurnEvent | None] = field(default_factory=asyncio.Queue)
    _times_made: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def num_calls(self) -> int:
        """Calls made so far, refused ones included."""
        return len(self.records)

    @property
    def is_closed(self) -> bool:
        """Whether the model should call nothing more."""
        in_circles = any(times >= STOP_AT for times in self._times_made.values())
        return in_circles or self.num_calls >= self.limits.max_calls

    async def make(self, asked: Sequence[Asked], turn: int) -> AsyncGenerator[TurnEvent, None]:
        """Make the calls of a turn side by side.

        ``ToolDone`` come in the order of ``asked``, each as soon as those before it are done,
        so that numbers and budget never hang on who was quicker. Afterwards the last
        ``len(asked)`` of ``records`` are theirs.
        """
        for one in asked:
            yield ToolStarted(one.call, self.agent)
        before = self.num_calls
        tasks = [
            asyncio.create_task(self._run(one, place, before + place))
            for place, one in enumerate(asked)
        ]
        finishing = asyncio.create_task(self._finish(asked, tasks, turn))
        try:
            while (event := await self.queue.get()) is not None:
                yield event
            await finishing
        finally:
            for task in (finishing, *tasks):
                task.cancel()
            await asyncio.wait([finishing, *tasks])

    async def _finish(
        self, asked: Sequence[Asked], tasks: Sequence[asyncio.Task[Ended]], turn: int
    ) -> None:
        try:
            for one, task in zip(asked, tasks, strict=True):
                done = self._done(one, await task)
                self.records.append(self._record(done, task.result().started, turn))
                self.queue.put_nowait(done)
        finally:
            self.queue.put_nowait(None)

    async def _run(self, asked: Asked, place: int, number: int) -> Ended:
        started = time.perf_counter()
        result: Found | Reply
        try:
            if asked.refusal:
                result = Reply(asked.refusal, is_error=True)
            else:
                result = await self._call(self._check(asked, place, number), asked.arguments)
        except CallError as error:
            result = Reply(str(error), is_error=True)
        return Ended(result, started, time.perf_counter() - started)

    def _done(self, asked: Asked, ended: Ended) -> ToolDone:
        """What came of a call, as the model reads it."""
        result, call, seconds = ended.result, asked.call, ended.seconds
        if isinstance(result, Reply):
            text = harmless(result.text) if result.is_error else result.text
            text += "" if result.is_error else self._reminder(call)
            self.budget.spend(text)
            return ToolDone(call, text, result.is_error, seconds, result.notice, agent=self.agent)
        text, sources, _ = self._observe(result, asked.arguments)
        return ToolDone(
            call=call,
            observation=text + self._reminder(call),
            is_error=False,
            seconds=seconds,
            notice=result.notice,
            mode=result.mode,
            sources=sources,
            agent=self.agent,
        )

    def _check(self, asked: Asked, place: int, number: int) -> Tool:
        """The tool, or the ``CallError`` that says why the call is not made."""
        limits = self.limits
        if place >= limits.max_calls_per_turn:
            line = f"at most {limits.max_calls_per_turn} calls in one turn"
            raise CallError("too_many_calls", line, "Ask again in the next turn.")
        if number >= limits.max_calls:
            line = f"at most {limits.max_calls} calls for one question"
            raise CallError("too_many_calls", line, "Answer now with what you have.")
        tools = {tool.name: tool for tool in self.tools}
        if asked.call.name not in tools:
            raise unknown_function(asked.call.name, [*tools])
        tool = tools[asked.call.name]
        check_arguments(asked.arguments, schema_of(tool.declare()))
        return tool

    async def _call(self, tool: Tool, arguments: Mapping[str, Any]) -> Found | Reply:
        limit = self.limits.tool_seconds
        if isinstance(tool, SlowTool):
            limit = tool.timeout_seconds
        left = self.limits.seconds - (time.perf_counter() - self.started)
        limit = max(0.0, min(limit, left))
        try:
            async with asyncio.timeout(limit):
                return await tool.call(arguments, self.desk)
        except TimeoutError as error:
            raise CallError(
                "timeout",
                f"{tool.name} gave no answer after {limit:.3g} seconds",
                "Ask for less, or go on without it.",
            ) from error
        except CallError:
            raise
        except UserError as error:
            raise CallError(
                "tool_failed", str(error), "Mend the call, or go on without it and say so."
            ) from error

    def _observe(self, found: Found, arguments: Mapping[str, Any]) -> Observation:
        observation = self.budget.observe(found, self.book, query=query_of(arguments))
        for source in observation.sources:
            self.desk.sources[source.id] = source
            self.desk.known_urls.update([source.url] if source.url else [])
        self.desk.learn(observation.text)
        return observation

    def _reminder(self, call: ToolCall) -> str:
        """A line for who makes the same call again and again."""
        self._times_made[call.name, _canonical(call.arguments)] += 1
        times = self._times_made[call.name, _canonical(call.arguments)]
        if times >= REMIND_AT[0]:
            self.flags.add("action_loop")
        if times not in REMIND_AT:
            return ""
        return (
            f"\n\nNote: this very call was made {times} times. Its result stays the same: use "
            "what you have, or look for something else."
        )

    def _record(self, done: ToolDone, started: float, turn: int) -> ToolRecord:
        return ToolRecord(
            call=done.call,
            observation=done.observation,
            notice=done.notice,
            mode=done.mode,
            is_error=done.is_error,
            started=started - self.started,
            seconds=done.seconds,
            turn=turn,
            sources=tuple(source.id for source in done.sources),
            agent=self.agent,
        )


def _canonical(arguments: str) -> str:
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except ValueError:
        return arguments
