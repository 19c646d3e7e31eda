"""A request to /v1/chat/completions that Kos itself answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kos.errors import UserError
from kos.messages import Message, ToolCall

MAX_STOPS = 16


class Part(BaseModel):
    """A piece of a message; Kos reads text only."""

    type: Literal["text"]
    text: str


class Function(BaseModel):
    name: str
    arguments: str = ""


class Call(BaseModel):
    id: str = ""
    function: Function


class Turn(BaseModel):
    """One message, with the field names of OpenAI, vLLM and others for thinking."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None

    def to_message(self) -> Message:
        content = self.content or ""
        if isinstance(content, list):
            content = "".join(part.text for part in content)
        calls = [
            ToolCall(call.id, call.function.name, call.function.arguments)
            for call in self.tool_calls or ()
        ]
        return Message(
            "system" if self.role == "developer" else self.role,
            content,
            thinking=self.reasoning or self.reasoning_content or "",
            tool_calls=tuple(calls),
            tool_call_id=self.tool_call_id or "",
        )


class Declared(BaseModel):
    """A tool that the caller brings, and calls itself."""

    model_config = ConfigDict(extra="allow")

    type: Literal["function"] = "function"
    function: dict[str, Any]


class StreamOptions(BaseModel):
    include_usage: bool = False


class KosFields(BaseModel):
    """What Kos adds to a request: its own tools, called on this server."""

    model_config = ConfigDict(extra="forbid")

    tools: bool | list[str] = Field(False, description="All of the deployment's, or these.")
    declarations: Literal["typescript", "json"] | None = None
    thinking: bool | None = None
    trace: bool = Field(True, description="Keep the answer as a trace, and say which one.")
    mode: Literal["single", "swarm"] | None = None


class ChatRequest(BaseModel):
    """What of OpenAI's request is heeded; the rest is passed over."""

    model: str
    messages: list[Turn] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    tools: list[Declared] | None = None
    tool_choice: str | dict[str, Any] | None = None
    kos: KosFields | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """The strings that end the answer."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(filter(None, stop))[:MAX_STOPS]

    @property
    def longest(self) -> int | None:
        """OpenAI renamed the field; the new name wins."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def wants_usage(self) -> bool:
        """Whether a stream is to end with what it took."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def declarations(self) -> Sequence[Mapping[str, Any]]:
        """The caller's tools, unless it says that none shall be called."""
        if self.tool_choice == "none":
            return ()
        return [tool.model_dump() for tool in self.tools or ()]

    def conversation(self) -> list[Message]:
        return [turn.to_message() for turn in self.messages]


def read(body: Mapping[str, Any]) -> ChatRequest:
    """The request. Raises UserError that names the field and what is wrong with it."""
    try:
        request = ChatRequest.model_validate(body)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise UserError(f"{place}: {problem['msg']}.") from error
    if request.tool_choice not in (None, "auto", "none"):
        raise UserError(
            "tool_choice: this deployment's model chooses by itself; use `auto` or `none`."
        )
    if request.kos is not None and request.tools:
        raise UserError(
            "tools: with `kos` the tools are called here, by name in `kos.tools`; tools of your "
            "own need a request without `kos`."
        )
    return request
