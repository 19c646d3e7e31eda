"""A model that plays from a script, tools that answer from a table, and how to watch them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kos.chat.dialects import DIALECTS
from kos.errors import UserError
from kos.harness.loop import Harness, Limits, Options, ToolDone, TurnDone, TurnEvent
from kos.messages import Message, ToolCall
from kos.serving.client import Delta
from kos.tools.base import Found, Provenance, Record
from kos.tools.desk import Desk

ASK = [Message("user", "Gout?")]
KIMI, HERMES, SERVER = (DIALECTS[name]() for name in ("kimi", "hermes", "server"))

Play = Callable[[str, int], str]


@dataclass
class Player:
    """Writes what ``play`` says: a list of turns, or a function of the prompt and its number.

    ``prompts`` and ``seeds`` keep what was asked. A turn that is an error is raised.
    """

    play: Sequence[str | UserError] | Play
    piece: int = 5
    pause_seconds: float = 0.0
    finish: str = "stop"
    prompts: list[str] = field(default_factory=list)
    seeds: list[int | None] = field(default_factory=list)
    model: str = "player"

    async def stream_raw(
        self, prompt: str, *, seed: int | None = None, **options: Any
    ) -> AsyncGenerator[Delta, None]:
        number = len(self.prompts)
        self.prompts.append(prompt)
        self.seeds.append(seed)
        turn = self.play(prompt, number) if callable(self.play) else self.play[number]
        if isinstance(turn, UserError):
            raise turn
        text, _, finish = turn.partition("\0")
        starts = range(0, len(text), self.piece)
        for start in starts:
            await asyncio.sleep(self.pause_seconds)
            yield Delta(text=text[start : start + self.piece])
        told = -(-len(prompt) // 4)
        yield Delta(
            finish_reason=finish or self.finish, num_tokens=len(starts), num_prompt_tokens=told
        )

    async def stream_chat(
        self, messages: Sequence[Message], **options: Any
    ) -> AsyncGenerator[Delta, None]:
        prompt = "\n".join(message.content for message in messages)
        async for delta in self.stream_raw(prompt):
            yield delta


@dataclass(frozen=True)
class Echo:
    """Says its query again, ``times`` over, after ``seconds``."""

    name: str = "echo"
    seconds: float = 0.0
    times: int = 1
    seen: list[Desk] = field(default_factory=list)

    def declare(self) -> Mapping[str, Any]:
        properties = {
            "query": {"type": "string", "minLength": 1},
            "max_results": {"type": "integer", "maximum": 10},
            "kind": {"type": "string", "enum": ["a", "b"]},
        }
        parameters = {
            "type": "object",
            "properties": properties,
            "required": ["query"],
            "additionalProperties": False,
        }
        function = {"name": self.name, "description": "Echo.", "parameters": parameters}
        return {"type": "function", "function": function}

    async def call(self, arguments: Mapping[str, Any], desk: Desk) -> Found:
        self.seen.append(desk)
        await asyncio.sleep(self.seconds)
        if arguments["query"] == "fail":
            raise UserError("the source is down")
        if arguments["query"] == "nothing":
            return Found((), "source: table", "embedded")
        return found(" ".join([arguments["query"]] * self.times), title=arguments["query"])


def found(text: str, *, title: str = "Title", url: str = "") -> Found:
    url = url or f"https://example.org/{title}"
    provenance = Provenance("table", "embedded", data_version="2026")
    return Found((Record(title, url, text, provenance),), "source: table", "embedded")


def kimi_calls(*pairs: tuple[str, Any], start: int = 0) -> str:
    """A Kimi turn that thinks and calls."""
    calls = "".join(
        f"<|tool_call_begin|>functions.{name}:{index}<|tool_call_argument_begin|>"
        f"{_text(arguments)}<|tool_call_end|>"
        for index, (name, arguments) in enumerate(pairs, start)
    )
    return f"look</think><|tool_calls_section_begin|>{calls}<|tool_calls_section_end|>"


def hermes_calls(*pairs: tuple[str, Any], start: int = 0) -> str:
    return "".join(
        f'<tool_call>\n{{"name": "{name}", "arguments": {_text(arguments)}}}\n</tool_call>'
        for name, arguments in pairs
    )


def server_calls(*pairs: tuple[str, str]) -> list[Delta]:
    asked = tuple(ToolCall(f"c{i}", name, arguments) for i, (name, arguments) in enumerate(pairs))
    return [Delta(tool_calls=asked, finish_reason="tool_calls")]


def _text(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def harness(client: Any, *tools: Any, dialect: Any = KIMI, **changes: Any) -> Harness:
    options = Options.model_validate(changes.pop("options", {}))
    limits = Limits(**changes.pop("limits", {}))
    return Harness(client, dialect, tools=tools, limits=limits, options=options, **changes)


async def events(
    of: Harness, messages: Sequence[Message] = ASK, **options: Any
) -> list[TurnEvent]:
    return [event async for event in of.run(messages, **options)]


async def done(of: Harness, messages: Sequence[Message] = ASK, **options: Any) -> TurnDone:
    last = (await events(of, messages, **options))[-1]
    assert isinstance(last, TurnDone)
    return last


def observations(found: Sequence[TurnEvent]) -> list[str]:
    return [event.observation for event in found if isinstance(event, ToolDone)]
