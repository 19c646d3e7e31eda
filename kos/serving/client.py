"""An OpenAI-compatible client: chat, streamed, over TCP or a Unix socket.

A deployment's address is a plain URL or ``http+unix://%2Fpath%2Fto.sock``, without ``/v1``.
Whatever a server does wrong becomes a ``UserError`` with its own words in it.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote, unquote

import httpx

from kos.errors import UserError
from kos.messages import Message, ToolCall

SOCKET_SCHEME = "http+unix://"
CONNECT_SECONDS = 5.0
# Between two tokens, and before the first: a long prompt on a CPU takes its time.
SILENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Delta:
    """A piece of the answer.

    ``thinking`` is filled by servers that part it from the text themselves. The last deltas
    carry the finish reason, the whole tool calls, and the token count when the server tells.
    """

    text: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = ""
    num_tokens: int = 0


class ChatClient(Protocol):
    """What the harness needs of a model server."""

    def stream_chat(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> AsyncGenerator[Delta, None]:
        """Stream one turn. ``tools`` are OpenAI function declarations."""


class Address(NamedTuple):
    """Where a server listens: the base URL to ask, and the Unix socket to ask it through."""

    base_url: str
    socket: str | None


def socket_url(path: Path) -> str:
    """The URL of a server on the Unix socket ``path``."""
    return SOCKET_SCHEME + quote(str(path), safe="")


def address(url: str) -> Address:
    """Take a deployment's URL apart."""
    if url.startswith(SOCKET_SCHEME):
        return Address("http://model", unquote(url.removeprefix(SOCKET_SCHEME).rstrip("/")))
    return Address(url.rstrip("/"), None)


def connect(url: str, *, silence_seconds: float = SILENCE_SECONDS) -> httpx.AsyncClient:
    """An HTTP client for the server at ``url``; it never goes through a proxy."""
    base_url, path = address(url)
    return httpx.AsyncClient(
        base_url=base_url,
        transport=httpx.AsyncHTTPTransport(uds=path),
        timeout=httpx.Timeout(silence_seconds, connect=CONNECT_SECONDS),
    )


def connect_sync(url: str, *, silence_seconds: float = SILENCE_SECONDS) -> httpx.Client:
    """The same for plain functions."""
    base_url, path = address(url)
    return httpx.Client(
        base_url=base_url,
        transport=httpx.HTTPTransport(uds=path),
        timeout=httpx.Timeout(silence_seconds, connect=CONNECT_SECONDS),
    )


def is_listening(url: str) -> bool:
    """Whether somebody takes connections on the Unix socket of ``url``; True for a TCP URL.

    Ask this before a plain client does: httpcore 1.0 leaves its socket open when one refuses.
    """
    path = address(url).socket
    if path is None:
        return True
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(path) == 0


@dataclass(frozen=True)
class HttpClient:
    """The model ``model`` on the server at ``url``."""

    url: str
    model: str
    silence_seconds: float = SILENCE_SECONDS
    transport: httpx.AsyncBaseTransport | None = None

    async def stream_chat(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> AsyncGenerator[Delta, None]:
        """Stream one turn. Cancelling, or closing the iterator, closes the connection."""
        body = {
            "model": self.model,
            "messages": [message.to_chat() for message in messages],
            "max_tokens": max_tokens,
            "temperature": temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
        } | ({"tools": list(tools)} if tools else {})
        try:
            async with (
                self._connect() as http,
                http.stream("POST", "/v1/chat/completions", json=body) as response,
            ):
                await _raise_for_status(response)
                async with aclosing(_deltas(response)) as deltas:
                    async for delta in deltas:
                        yield delta
        except httpx.HTTPError as error:
            raise UserError(self._sentence(error)) from error

    def _connect(self) -> httpx.AsyncClient:
        if self.transport is not None:
            return httpx.AsyncClient(base_url="http://model", transport=self.transport)
        return connect(self.url, silence_seconds=self.silence_seconds)

    def _sentence(self, error: httpx.HTTPError) -> str:
        match error:
            case httpx.ConnectError() | httpx.ConnectTimeout():
                return (
                    f"The model server of {self.model!r} does not answer. Start the deployment "
                    "again, or choose another one."
                )
            case httpx.TimeoutException():
                return (
                    f"The model server of {self.model!r} was silent for "
                    f"{self.silence_seconds:g} seconds. Try again, or ask for less."
                )
        return (
            f"The model server of {self.model!r} broke off in the middle of the answer "
            f"({str(error) or type(error).__name__}). Try again."
        )


@dataclass
class ScriptedClient:
    """Answers from a list, one turn each: the stand-in for a model in tests.

    A turn is a text, cut in pieces of ``piece`` characters, or the deltas themselves, or an
    error to raise. ``asked`` keeps the messages of every call; ``pause_seconds`` lies between
    two pieces.
    """

    turns: Sequence[str | Sequence[Delta] | UserError]
    piece: int = 4
    pause_seconds: float = 0.0
    asked: list[tuple[Message, ...]] = field(default_factory=list)

    async def stream_chat(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> AsyncGenerator[Delta, None]:
        """Stream the next turn of the list."""
        self.asked.append(tuple(messages))
        turn = self.turns[len(self.asked) - 1]
        if isinstance(turn, UserError):
            raise turn
        for delta in self._cut(turn) if isinstance(turn, str) else turn:
            await asyncio.sleep(self.pause_seconds)
            yield delta

    def _cut(self, text: str) -> list[Delta]:
        starts = range(0, len(text), self.piece)
        pieces = [Delta(text=text[start : start + self.piece]) for start in starts]
        return [*pieces, Delta(finish_reason="stop", num_tokens=len(pieces))]


async def _deltas(response: httpx.Response) -> AsyncGenerator[Delta, None]:
    calls: dict[int, dict[str, str]] = {}
    is_finished = False
    async for data in sse_data(response.aiter_bytes()):
        if data == "[DONE]":
            return
        chunk = json.loads(data)
        if "error" in chunk:
            raise UserError(f"The model server says: {_error_text(chunk)}")
        delta = _delta(chunk, calls)
        is_finished = is_finished or bool(delta.finish_reason)
        if delta != Delta():
            yield delta
    if not is_finished:
        raise httpx.RemoteProtocolError("the stream ended without a finish reason")


async def sse_data(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The ``data`` of each server-sent event; one line an event, as OpenAI's servers write.

    Lines end at a newline byte only: ``str.splitlines`` would also cut at U+2028 and its like,
    which may stand unescaped inside the JSON.
    """
    held = b""
    async for chunk in chunks:
        *lines, held = (held + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line.removeprefix(b"data:").strip().decode()


def _delta(chunk: Mapping[str, Any], calls: dict[int, dict[str, str]]) -> Delta:
    num_tokens = (chunk.get("usage") or {}).get("completion_tokens") or 0
    if not chunk.get("choices"):
        return Delta(num_tokens=num_tokens)
    choice = chunk["choices"][0]
    part = choice.get("delta") or {}
    for piece in part.get("tool_calls") or ():
        _add_call_piece(calls, piece)
    finish = choice.get("finish_reason") or ""
    return Delta(
        text=part.get("content") or "",
        thinking=part.get("reasoning") or part.get("reasoning_content") or "",
        tool_calls=tuple(ToolCall(**calls[index]) for index in sorted(calls)) if finish else (),
        finish_reason=finish,
        num_tokens=num_tokens,
    )


def _add_call_piece(calls: dict[int, dict[str, str]], piece: Mapping[str, Any]) -> None:
    call = calls.setdefault(piece.get("index", 0), {"id": "", "name": "", "arguments": ""})
    function = piece.get("function") or {}
    call["id"] = piece.get("id") or call["id"]
    call["name"] = function.get("name") or call["name"]
    call["arguments"] += function.get("arguments") or ""


async def _raise_for_status(response: httpx.Response) -> None:
    if response.is_success:
        return
    body = (await response.aread()).decode(errors="replace")
    try:
        text = _error_text(json.loads(body))
    except ValueError:
        text = body[:300] or response.reason_phrase
    raise UserError(f"The model server refused the request ({response.status_code}): {text}")


def _error_text(body: Any) -> str:
    """OpenAI servers put a dictionary or a sentence below ``error``; FastAPI says ``detail``."""
    error = body.get("error", body.get("detail", body)) if isinstance(body, dict) else body
    return str(error.get("message", error)) if isinstance(error, dict) else str(error)
