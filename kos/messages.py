"""The record that every part of Kos passes on: messages, tool calls, sampled answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True)
class ToolCall:
    """A call the model asked for; ``arguments`` is the JSON text as it wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Message:
    """One turn of a conversation. ``thinking`` is kept apart from what the reader sees."""

    role: Role
    content: str
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    meta: dict[str, Any] = field(default_factory=dict, compare=False)

    def to_chat(self) -> dict[str, Any]:
        """The OpenAI chat form: role, content, and tool fields when there are any."""
        chat: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.tool_calls:
            chat["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in self.tool_calls
            ]
        if self.tool_call_id:
            chat["tool_call_id"] = self.tool_call_id
        return chat


@dataclass(frozen=True)
class Source:
    """Something a tool brought back, cited in the answer as ``[S3]``.

    ``text`` is all of it, of which the model may have read less. ``provenance`` has the fields
    of ``kos.tools.base.Provenance``.
    """

    id: str
    title: str
    url: str
    text: str
    provenance: Mapping[str, str]


@dataclass(frozen=True)
class ToolRecord:
    """One call as it was made. Times are in seconds; ``started`` counts from the question.

    ``observation`` is what the model read, ``notice`` the line on where it came from, ``mode``
    the sort of its source: live, cache, embedded, imported, or "" for an error.
    """

    call: ToolCall
    observation: str
    notice: str
    mode: str
    is_error: bool
    started: float
    seconds: float
    turn: int
    sources: tuple[str, ...] = ()
    agent: str = ""


@dataclass(frozen=True)
class TurnRecord:
    """One generation of the model within a question, as it came.

    ``rendered`` is the prompt as the model read it, where the harness renders it itself.
    ``token_ids``, their texts ``tokens`` and ``logprobs`` (natural logarithm) are empty where the
    server tells none.
    """

    turn: int
    raw: str
    thinking: str
    answer: str
    calls: tuple[ToolCall, ...]
    stop_reason: str
    flags: tuple[str, ...]
    num_prompt_tokens: int
    num_tokens: int
    started: float
    first_token_seconds: float | None
    seconds: float
    rendered: str = ""
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    agent: str = ""
    tokens: tuple[str, ...] = ()
