"""Asking a deployed model, with its tools, whole or as it speaks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from kos.client import streams
from kos.client.errors import KosError
from kos.client.wire import Wire

PATH = "/v1/chat/completions"
# A model on a busy machine may be silent for minutes before its first word.
PATIENCE = httpx.Timeout(10.0, read=600.0)
Words = str | Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Delta:
    """Some more of an answer: characters, or what the model does meanwhile (``data``).

    After ``resampled`` what came before is void. ``end`` is the last; its data has
    ``finish_reason``, ``citations``, ``seconds``, and ``trace_id`` where a trace was kept.
    """

    kind: Literal[
        "text",
        "thinking",
        "tool_started",
        "tool_done",
        "agent_started",
        "agent_done",
        "resampled",
        "end",
    ]
    text: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """A whole answer; ``tools`` are the calls in the order they ended."""

    text: str
    thinking: str = ""
    tools: tuple[Mapping[str, Any], ...] = ()
    citations: tuple[Mapping[str, Any], ...] = ()
    trace_id: str = ""
    finish_reason: str = ""


class Chat:
    """``kos.chat``; ``model`` is the name of a deployment or an alias."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def send(
        self,
        model: str,
        message: Words,
        *,
        tools: bool | Sequence[str] = True,
        thinking: bool | None = None,
        trace: bool = True,
        **options: Any,
    ) -> Answer:
        """The answer to a message, or to a conversation of ``role`` and ``content``.

        ``tools`` is False for none, or names those of the deployment that may be called;
        ``options`` are OpenAI's (``temperature``, ``max_tokens``, ``stop`` ...).
        """
        text, thought, called = "", "", list[Mapping[str, Any]]()
        end: Mapping[str, Any] = {}
        asked = self.stream(model, message, tools=tools, thinking=thinking, trace=trace, **options)
        for delta in asked:
            match delta.kind:
                case "text":
                    text += delta.text
                case "thinking":
                    thought += delta.text
                case "tool_done":
                    called.append(delta.data)
                case "resampled":
                    text = thought = ""
                case "end":
                    end = delta.data
        return Answer(
            text,
            thought,
            tuple(called),
            tuple(end.get("citations", ())),
            str(end.get("trace_id", "")),
            str(end.get("finish_reason", "")),
        )

    def stream(
        self,
        model: str,
        message: Words,
        *,
        tools: bool | Sequence[str] = True,
        thinking: bool | None = None,
        trace: bool = True,
        **options: Any,
    ) -> Iterator[Delta]:
        """The answer as it is made. Leaving the loop stops the model."""
        asked: dict[str, Any] = {"tools": tools if isinstance(tools, bool) else list(tools)}
        if thinking is not None:
            asked["thinking"] = thinking
        messages = (
            [{"role": "user", "content": message}] if isinstance(message, str) else [*message]
        )
        body = {
            "model": model,
            "messages": messages,
            "stream": True,
            "kos": {**asked, "trace": trace},
            **options,
        }
        try:
            with self._wire.open("POST", PATH, json=body, timeout=PATIENCE) as response:
                yield from _deltas(response)
        except httpx.TransportError as error:
            # Not asked again: half of an answer was heard, or it is being made.
            raise self._wire.unreachable(error) from error

    def models(self) -> list[str]:
        """The names that can be asked."""
        return [one["id"] for one in self._wire.get("/v1/models")["data"]]


def _deltas(response: httpx.Response) -> Iterator[Delta]:
    for message in streams.messages(response.iter_lines()):
        if message.data == "[DONE]":
            return
        chunk = json.loads(message.data)
        if "error" in chunk:
            raise KosError(0, "The answer broke off", str(chunk["error"].get("message", "")))
        for choice in chunk.get("choices", ()):
            yield from _said(choice.get("delta") or {})
            if choice.get("finish_reason"):
                end = {"finish_reason": choice["finish_reason"], **(chunk.get("kos") or {})}
                yield Delta("end", data=end)


def _said(delta: Mapping[str, Any]) -> Iterator[Delta]:
    if delta.get("reasoning"):
        yield Delta("thinking", delta["reasoning"])
    if delta.get("content"):
        yield Delta("text", delta["content"])
    for kind, data in (delta.get("kos") or {}).items():
        if kind in ("tool_started", "tool_done", "agent_started", "agent_done", "resampled"):
            yield Delta(kind, data=data)
