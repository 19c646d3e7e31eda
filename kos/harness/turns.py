"""One generation: rendered, streamed, parsed as it comes, and recorded whole."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from kos.chat.calls import ParsedCall
from kos.chat.dialects import Dialect, schemas_of
from kos.chat.parse import ParsedTurn, Piece
from kos.harness.calls import Asked
from kos.harness.events import AnswerDelta, ThinkingDelta
from kos.harness.options import Limits, Options
from kos.harness.refusals import CallError
from kos.harness.repetition import Watch, without_repeats
from kos.messages import Message, ToolCall, TurnRecord
from kos.serving.client import ChatClient, Delta

# Flags of a turn from which nothing can be made.
MALFORMED = {"unclosed_think", "empty_turn", "repetition_stop", "foreign_call_syntax"}
# Flags of calls that were not written to their end, or not in JSON.
UNUSABLE = {"unclosed_call", "bad_json"}
CUT_OFF = str(
    CallError("unclosed_call", "the call was cut off before its end", "Write it again, shorter.")
)
# A greedy model would say the same again.
MIN_RESAMPLE_TEMPERATURE = 0.3


class Prompt(NamedTuple):
    """What the model is asked. ``rendered`` is empty where the server renders it itself."""

    messages: tuple[Message, ...]
    declarations: tuple[Mapping[str, Any], ...]
    rendered: str


@dataclass(frozen=True)
class Writer:
    """Asks one model in one dialect."""

    client: ChatClient
    dialect: Dialect
    limits: Limits
    options: Options

    def prompt(
        self, messages: Sequence[Message], declarations: Sequence[Mapping[str, Any]]
    ) -> Prompt:
        """Render the conversation as this dialect's models were trained to read it."""
        rendered = ""
        if self.dialect.is_rendered:
            rendered = self.dialect.render(
                messages,
                tools=declarations,
                tools_as=self.options.tools_as,
                thinking=self.options.thinking,
            )
        return Prompt(tuple(messages), tuple(declarations), rendered)

    def stream(
        self, prompt: Prompt, *, seed: int | None, temperature: float
    ) -> AsyncGenerator[Delta, None]:
        """The model's raw text, or what the server makes of it."""
        if not self.dialect.is_rendered:
            return self.client.stream_chat(
                prompt.messages,
                max_tokens=self.limits.max_tokens,
                temperature=temperature,
                tools=prompt.declarations,
                top_p=self.limits.top_p,
                seed=seed,
            )
        return self.client.stream_raw(
            prompt.rendered,
            max_tokens=self.limits.max_tokens,
            temperature=temperature,
            top_p=self.limits.top_p,
            stop=self.dialect.stop_strings,
            seed=seed,
            logprobs=self.options.logprobs,
        )


@dataclass
class Generation:
    """One generation as it grows. ``started`` is the clock's; ``deadline`` too."""

    writer: Writer
    prompt: Prompt
    turn: int
    agent: str = ""
    seed: int | None = None
    temperature: float = 0.0
    deadline: float = float("inf")
    started: float = field(default_factory=time.perf_counter)
    first_token: float | None = None
    seconds: float = 0.0
    stop_reason: str = ""
    num_answer_tokens: int = 0
    asked: tuple[Asked, ...] = ()
    _parsed: ParsedTurn | None = None
    _parted: list[str] = field(default_factory=list)
    _text: list[str] = field(default_factory=list)
    _answer: list[str] = field(default_factory=list)
    _server_calls: tuple[ToolCall, ...] = ()
    _token_ids: list[int] = field(default_factory=list)
    _logprobs: list[float] = field(default_factory=list)
    _tokens: list[str] = field(default_factory=list)
    _num_deltas: int = 0
    _told_tokens: int = 0
    num_prompt_tokens: int = 0

    async def run(self) -> AsyncGenerator[ThinkingDelta | AnswerDelta, None]:
        """Generate to the end, to the deadline, or until the text goes round in circles."""
        parser = self.writer.dialect.parser(
            schemas_of(self.prompt.declarations),
            thinking=self.writer.options.thinking,
            used=[call.id for message in self.prompt.messages for call in message.tool_calls],
        )
        watch = Watch()
        stream = self.writer.stream(self.prompt, seed=self.seed, temperature=self.temperature)
        async with (
            aclosing(stream) as deltas,
            aclosing(self._until_deadline(deltas)) as timely,
        ):
            async for delta in timely:
                self._count(delta)
                if delta.thinking:
                    self._parted.append(delta.thinking)
                    yield ThinkingDelta(delta.thinking, self.agent)
                if delta.text:
                    self._text.append(delta.text)
                    is_answer = False
                    for event in self._events(parser.feed(delta.text)):
                        is_answer = is_answer or isinstance(event, AnswerDelta)
                        yield event
                    self.num_answer_tokens += is_answer * max(1, len(delta.token_ids))
                if watch.take(delta.thinking + delta.text, delta.token_ids):
                    self.stop_reason = "repetition"
                    break
        self._parsed = parser.close(self.stop_reason or "stop")
        self.asked = self._asked(self._parsed)
        self.seconds = time.perf_counter() - self.started
        for event in self._events(self._parsed.tail):
            yield event

    @property
    def parsed(self) -> ParsedTurn:
        """The whole turn."""
        assert self._parsed is not None, "the generation is still running"
        return self._parsed

    @property
    def raw(self) -> str:
        """All that was generated; thinking the server parted is put between its markers."""
        thinking = "".join(self._parted)
        return (f"<think>{thinking}</think>" if thinking else "") + "".join(self._text)

    @property
    def message(self) -> Message:
        """The turn as the conversation goes on with it."""
        thinking = "".join([*self._parted, self.parsed.reasoning]).strip()
        content = self.parsed.shown
        if self.stop_reason == "repetition":
            thinking = without_repeats(thinking)
            content = without_repeats("".join(self._answer)).strip()
        return Message(
            "assistant", content, thinking=thinking, tool_calls=tuple(a.call for a in self.asked)
        )

    @property
    def num_tokens(self) -> int:
        """What the server counted, else the tokens it named, else one a delta."""
        return self._told_tokens or len(self._token_ids) or self._num_deltas

    @property
    def flags(self) -> tuple[str, ...]:
        """What the parser and the loop saw wrong with this turn."""
        found = list(self.parsed.flags)
        if self.stop_reason == "repetition":
            found.append("repetition_stop")
        if self._server_calls or self._parted:
            # The server took its own markers out: a turn is not empty for having no text.
            found = [flag for flag in found if flag != "empty_turn"]
        if self._parted and not self._text and not self._server_calls:
            found.append("empty_turn")
        if self._server_calls and self.is_cut:
            found.append("unclosed_call")
        if any(one.refusal.startswith("Error: bad_json") for one in self.asked):
            found.append("bad_json")
        return tuple(dict.fromkeys(found))

    @property
    def is_cut(self) -> bool:
        """Whether a limit ended it in the middle."""
        return self.stop_reason in ("length", "time", "repetition")

    @property
    def is_malformed(self) -> bool:
        """Whether drawing it again would help: nothing in it can be used as it is."""
        if self.stop_reason == "time":
            return False
        if self.asked:
            return UNUSABLE.intersection(self.flags) != set() and all(
                one.refusal for one in self.asked
            )
        return bool(MALFORMED.intersection(self.flags))

    def record(self, *extra_flags: str, clock: float) -> TurnRecord:
        """The generation for the trace; ``clock`` is when the question began."""
        first = None if self.first_token is None else self.first_token - self.started
        return TurnRecord(
            turn=self.turn,
            raw=self.raw,
            thinking=self.message.thinking,
            answer=self.message.content,
            calls=self.message.tool_calls,
            stop_reason=self.stop_reason,
            flags=(*self.flags, *extra_flags),
            num_prompt_tokens=self.num_prompt_tokens,
            num_tokens=self.num_tokens,
            started=self.started - clock,
            first_token_seconds=first,
            seconds=self.seconds,
            rendered=self.prompt.rendered,
            token_ids=tuple(self._token_ids),
            logprobs=tuple(self._logprobs),
            agent=self.agent,
            tokens=tuple(self._tokens),
        )

    async def _until_deadline(
        self, deltas: AsyncGenerator[Delta, None]
    ) -> AsyncGenerator[Delta, None]:
        # The limit lies around each wait alone: a block with a yield inside it could be
        # cancelled while somebody else's code runs.
        while True:
            left = self.deadline - time.perf_counter()
            try:
                async with asyncio.timeout(None if left == float("inf") else max(0.0, left)):
                    delta = await anext(deltas)
            except StopAsyncIteration:
                return
            except TimeoutError:
                self.stop_reason = "time"
                return
            yield delta

    def _count(self, delta: Delta) -> None:
        if self.first_token is None and (delta.text or delta.thinking):
            self.first_token = time.perf_counter()
        self._num_deltas += bool(delta.text or delta.thinking)
        self._token_ids.extend(delta.token_ids)
        self._logprobs.extend(delta.logprobs)
        if delta.logprobs:
            # Of several tokens in one piece the first carries the text of all.
            self._tokens.extend([delta.text, *[""] * (len(delta.logprobs) - 1)])
        self.stop_reason = delta.finish_reason or self.stop_reason
        self._server_calls = delta.tool_calls or self._server_calls
        self._told_tokens = delta.num_tokens or self._told_tokens
        self.num_prompt_tokens = delta.num_prompt_tokens or self.num_prompt_tokens

    def _events(self, pieces: Sequence[Piece]) -> Iterator[ThinkingDelta | AnswerDelta]:
        for piece in pieces:
            if piece.channel == "thinking":
                yield ThinkingDelta(piece.text, self.agent)
            elif piece.channel == "answer":
                self._answer.append(piece.text)
                yield AnswerDelta(piece.text, self.agent)

    def _asked(self, parsed: ParsedTurn) -> tuple[Asked, ...]:
        told = [_asked_of_server(call, place) for place, call in enumerate(self._server_calls)]
        if told and self.is_cut:
            told[-1] = told[-1]._replace(refusal=CUT_OFF)
        return (*told, *map(_asked_of_text, parsed.calls))


def _asked_of_text(call: ParsedCall) -> Asked:
    return Asked(ToolCall(call.id, call.name, call.arguments), call.args, call.observation)


def _asked_of_server(call: ToolCall, place: int) -> Asked:
    named = call if call.id else replace(call, id=f"call_{place}")
    try:
        return Asked(named, json.loads(call.arguments or "{}"))
    except ValueError as error:
        refusal = CallError(
            "bad_json", f"the arguments are no valid JSON ({error})", "Write one JSON object."
        )
        return Asked(named, None, str(refusal))
