"""One loop for chat, evaluation and serving: sample, call tools, sample again.

``run_turn`` is one question of a reader answered to the end. What happens on the way comes out
as events; nothing is kept between two calls.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol

from kos.chat.parse import Piece, StreamParser
from kos.chat.template import SYSTEM_PROMPT
from kos.errors import UserError
from kos.evals import detectors
from kos.messages import Message, ToolCall
from kos.serving.client import ChatClient, Delta


class Tool(Protocol):
    """Something the model may call."""

    @property
    def name(self) -> str:
        """What the model calls it by."""

    def declare(self) -> Mapping[str, Any]:
        """Its OpenAI function declaration."""

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """Do it and return what the model shall read; ``UserError`` becomes an observation."""


@dataclass(frozen=True)
class Limits:
    """Where the loop ends. ``seconds`` bounds the whole turn, tools included."""

    max_turns: int = 12
    max_calls_per_turn: int = 8
    max_tokens: int = 1024
    temperature: float = 0.7
    seconds: float = 180.0
    tool_seconds: float = 12.0


@dataclass(frozen=True)
class ThinkingDelta:
    """Some characters of the thinking."""

    text: str


@dataclass(frozen=True)
class AnswerDelta:
    """Some characters of the answer."""

    text: str


@dataclass(frozen=True)
class ToolStarted:
    """A call has begun."""

    call: ToolCall


@dataclass(frozen=True)
class ToolDone:
    """A call is over; ``observation`` is what the model reads next."""

    call: ToolCall
    observation: str
    is_error: bool
    seconds: float


@dataclass(frozen=True)
class TurnDone:
    """The question is answered.

    ``message`` is the last turn, ``trail`` what was said before it (calls and observations),
    ``raw`` the last turn as generated. ``num_tokens`` counts all turns, ``num_answer_tokens``
    the visible answer. ``stop_reason`` is the server's, or "time" or "turns" when a limit of
    the loop ended it.
    """

    message: Message
    trail: tuple[Message, ...]
    raw: str
    stop_reason: str
    flags: tuple[str, ...]
    num_tokens: int
    num_answer_tokens: int
    seconds: float


TurnEvent = ThinkingDelta | AnswerDelta | ToolStarted | ToolDone | TurnDone


async def run_turn(
    messages: Sequence[Message],
    *,
    client: ChatClient,
    tools: Sequence[Tool] = (),
    limits: Limits = Limits(),
) -> AsyncGenerator[TurnEvent, None]:
    """Answer the conversation ``messages``; the last event is ``TurnDone``.

    The system prompt of training is put in front where there is none. Raises ``UserError`` when
    the model's server fails. Cancelling, or closing the iterator, stops the server's work.
    """
    started = time.perf_counter()
    prompt = with_system_prompt(messages)
    trail: list[Message] = []
    num_tokens = 0
    for turn in range(1, limits.max_turns + 1):
        sample = Sample()
        asking = client.stream_chat(
            [*prompt, *trail],
            max_tokens=limits.max_tokens,
            temperature=limits.temperature,
            tools=[tool.declare() for tool in tools],
        )
        async with aclosing(asking) as deltas:
            async for delta in deltas:
                for event in sample.take(delta):
                    yield event
                if time.perf_counter() - started > limits.seconds:
                    sample.stop_reason = "time"
                    break
        for event in sample.close():
            yield event
        num_tokens += sample.num_tokens
        if not sample.has_whole_calls or turn == limits.max_turns:
            break
        trail.append(sample.message)
        for call in sample.calls:
            yield ToolStarted(call)
        for done in await asyncio.gather(
            *(
                _call(call, tools, limits, is_too_many=place >= limits.max_calls_per_turn)
                for place, call in enumerate(sample.calls)
            )
        ):
            yield done
            trail.append(Message("tool", done.observation, tool_call_id=done.call.id))
    yield TurnDone(
        message=sample.message,
        trail=tuple(trail),
        raw=sample.raw,
        stop_reason="turns" if sample.has_whole_calls else sample.stop_reason,
        flags=sample.flags,
        num_tokens=num_tokens,
        num_answer_tokens=sample.num_answer_tokens,
        seconds=time.perf_counter() - started,
    )


def with_system_prompt(messages: Sequence[Message]) -> list[Message]:
    """``messages`` behind the system prompt of training, unless they bring their own."""
    if any(message.role == "system" for message in messages):
        return [*messages]
    return [Message("system", SYSTEM_PROMPT), *messages]


@dataclass
class Sample:
    """One generation as it grows."""

    stop_reason: str = ""
    calls: tuple[ToolCall, ...] = ()
    num_answer_tokens: int = 0
    _parser: StreamParser = field(default_factory=StreamParser)
    _thinking: list[str] = field(default_factory=list)
    _answer: list[str] = field(default_factory=list)
    _parted: list[str] = field(default_factory=list)
    _text: list[str] = field(default_factory=list)
    _num_deltas: int = 0
    _told_tokens: int = 0

    def take(self, delta: Delta) -> Iterator[ThinkingDelta | AnswerDelta]:
        """Add what the server said."""
        self._num_deltas += bool(delta.text or delta.thinking)
        self.stop_reason = delta.finish_reason or self.stop_reason
        self.calls = delta.tool_calls or self.calls
        self._told_tokens = delta.num_tokens or self._told_tokens
        if delta.thinking:
            self._parted.append(delta.thinking)
            yield ThinkingDelta(delta.thinking)
        if delta.text:
            self._text.append(delta.text)
            before = len(self._answer)
            yield from self._sort(self._parser.feed(delta.text))
            self.num_answer_tokens += len(self._answer) > before

    def close(self) -> Iterator[ThinkingDelta | AnswerDelta]:
        """End the generation."""
        yield from self._sort(self._parser.close())

    @property
    def raw(self) -> str:
        """All that was generated; thinking the server parted is put between its markers."""
        thinking = "".join(self._parted)
        return (f"<think>{thinking}</think>" if thinking else "") + "".join(self._text)

    @property
    def message(self) -> Message:
        """The turn as the conversation goes on with it."""
        return Message(
            "assistant",
            "".join(self._answer).strip(),
            thinking="".join([*self._parted, *self._thinking]).strip(),
            tool_calls=self.calls,
        )

    @property
    def num_tokens(self) -> int:
        """What the server counted, else one a delta."""
        return self._told_tokens or self._num_deltas

    @property
    def has_whole_calls(self) -> bool:
        """Whether there are calls to make. A turn cut by a limit may have cut its calls."""
        return bool(self.calls) and self.stop_reason not in ("length", "time")

    @property
    def flags(self) -> tuple[str, ...]:
        """What the detectors say, and what only the loop can see."""
        found = list(detectors.flags(self.raw, self.message.content, self.stop_reason))
        if self.calls and not self.has_whole_calls:
            found.append("unclosed_call")
        if self.has_whole_calls:
            found.append("no_final")
        return tuple(dict.fromkeys(found))

    def _sort(self, pieces: list[Piece]) -> Iterator[ThinkingDelta | AnswerDelta]:
        for piece in pieces:
            if piece.channel == "thinking":
                self._thinking.append(piece.text)
                yield ThinkingDelta(piece.text)
            elif piece.channel == "answer":
                self._answer.append(piece.text)
                yield AnswerDelta(piece.text)


async def _call(
    call: ToolCall, tools: Sequence[Tool], limits: Limits, *, is_too_many: bool
) -> ToolDone:
    """Make one call; whatever is wrong with it becomes an observation the model can mend."""
    started = time.perf_counter()
    is_error = True
    if is_too_many:
        observation = f"Error: at most {limits.max_calls_per_turn} calls in one turn. Ask again."
    else:
        try:
            async with asyncio.timeout(limits.tool_seconds):
                observation = await _find(call, tools).call(_arguments(call))
                is_error = False
        except UserError as error:
            observation = f"Error: {error}"
        except TimeoutError:
            observation = f"Error: no answer after {limits.tool_seconds:g} seconds."
    return ToolDone(call, observation, is_error, time.perf_counter() - started)


def _find(call: ToolCall, tools: Sequence[Tool]) -> Tool:
    for tool in tools:
        if tool.name == call.name:
            return tool
    names = ", ".join(tool.name for tool in tools) or "none"
    raise UserError(f"there is no tool {call.name!r}. Valid names: {names}.")


def _arguments(call: ToolCall) -> Mapping[str, Any]:
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError as error:
        raise UserError(f"the arguments are no valid JSON ({error}). Write one object.") from error
    if not isinstance(arguments, dict):
        raise UserError(f"the arguments are a {type(arguments).__name__}. Write one JSON object.")
    return arguments
