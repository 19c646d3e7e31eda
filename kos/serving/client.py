"""An OpenAI-compatible client: chat or a rendered prompt, streamed, over TCP or a Unix socket.

A deployment's address is a plain URL or ``http+unix://%2Fpath%2Fto.sock``, without ``/v1``.
Whatever a server does wrong becomes a ``UserError`` with its own words in it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote, unquote

import httpx

from kos.errors import UserError
from kos.messages import Message
from kos.serving.bounded import Bounded, BoundedSync

# Asked for here by everyone who asks a model.
from kos.serving.deltas import Delta as Delta
from kos.serving.deltas import raise_for_status, read_deltas

SOCKET_SCHEME = "http+unix://"
CONNECT_SECONDS = 5.0
# Between two tokens, and before the first: a long prompt on a CPU takes its time.
SILENCE_SECONDS = 120.0


class ChatClient(Protocol):
    """What the harness needs of a model server."""

    def stream_chat(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float,
        tools: Sequence[Mapping[str, Any]] = (),
        top_p: float = 1.0,
        seed: int | None = None,
    ) -> AsyncGenerator[Delta, None]:
        """Stream one turn. ``tools`` are OpenAI function declarations."""

    def stream_raw(
        self,
        prompt: str,
        *,
        max_tokens: int,
        temperature: float,
        top_p: float = 1.0,
        stop: Sequence[str] = (),
        seed: int | None = None,
        logprobs: bool = False,
    ) -> AsyncGenerator[Delta, None]:
        """Stream what follows a rendered prompt, as it was generated: nothing is parsed."""


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


def connect(
    url: str, *, key: str = "", silence_seconds: float = SILENCE_SECONDS
) -> httpx.AsyncClient:
    """An HTTP client for the server at ``url``; it never goes through a proxy."""
    base_url, path = address(url)
    return httpx.AsyncClient(
        base_url=base_url,
        headers=bearer(key),
        transport=Bounded(httpx.AsyncHTTPTransport(uds=path, verify=_tls())),
        timeout=httpx.Timeout(silence_seconds, connect=CONNECT_SECONDS),
    )


def connect_sync(
    url: str, *, key: str = "", silence_seconds: float = SILENCE_SECONDS
) -> httpx.Client:
    """The same for plain functions."""
    base_url, path = address(url)
    return httpx.Client(
        base_url=base_url,
        headers=bearer(key),
        transport=BoundedSync(httpx.HTTPTransport(uds=path, verify=_tls())),
        timeout=httpx.Timeout(silence_seconds, connect=CONNECT_SECONDS),
    )


@lru_cache
def _tls() -> ssl.SSLContext:
    """Reading the certificates takes 60 ms: once a process, not once a request."""
    return ssl.create_default_context()


def bearer(key: str) -> dict[str, str]:
    """What a server that asks for a key is sent; nothing without one."""
    return {"Authorization": f"Bearer {key}"} if key else {}


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
    """The model ``model`` on the server at ``url``, which may ask for a ``key``."""

    url: str
    model: str
    silence_seconds: float = SILENCE_SECONDS
    transport: httpx.AsyncBaseTransport | None = None
    key: str = field(default="", repr=False)

    async def stream_chat(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float,
        tools: Sequence[Mapping[str, Any]] = (),
        top_p: float = 1.0,
        seed: int | None = None,
    ) -> AsyncGenerator[Delta, None]:
        """Stream one turn. Cancelling, or closing the iterator, closes the connection."""
        body = {
            "messages": [_chat_form(message) for message in messages],
            "max_tokens": max_tokens,
            "temperature": temperature,
            **_given(top_p=top_p, seed=seed, tools=list(tools)),
        }
        async with aclosing(self._stream("/v1/chat/completions", body)) as deltas:
            async for delta in deltas:
                yield delta

    async def stream_raw(
        self,
        prompt: str,
        *,
        max_tokens: int,
        temperature: float,
        top_p: float = 1.0,
        stop: Sequence[str] = (),
        seed: int | None = None,
        logprobs: bool = False,
    ) -> AsyncGenerator[Delta, None]:
        """Stream what follows ``prompt``, special tokens and all; ends as ``stream_chat`` does.

        The last two fields are vLLM's: control tokens that leak into an answer would otherwise
        vanish, and with them what there is to measure.
        """
        body = {
            "prompt": prompt,
            "max_tokens": max_tokens,
            "temperature": temperature,
            **_given(top_p=top_p, seed=seed, stop=list(stop), logprobs=1 if logprobs else None),
            "skip_special_tokens": False,
            "return_token_ids": True,
        }
        async with aclosing(self._stream("/v1/completions", body)) as deltas:
            async for delta in deltas:
                yield delta

    async def _stream(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[Delta, None]:
        """Ask, and read the answer's deltas; whatever goes wrong becomes a ``UserError``."""
        asked = {
            "model": self.model,
            **body,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        started = time.perf_counter()
        try:
            async with (
                self._connect() as http,
                http.stream("POST", path, json=asked) as response,
            ):
                await raise_for_status(response)
                async with aclosing(read_deltas(response)) as deltas:
                    async for delta in deltas:
                        yield replace(delta, seconds=time.perf_counter() - started)
        except httpx.HTTPError as error:
            raise UserError(self._sentence(error)) from error

    def _connect(self) -> httpx.AsyncClient:
        if self.transport is not None:
            return httpx.AsyncClient(base_url="http://model", transport=self.transport)
        return connect(self.url, key=self.key, silence_seconds=self.silence_seconds)

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
    error to raise. ``asked`` keeps the messages of every chat, ``prompts`` every rendered
    prompt; ``pause_seconds`` lies between two pieces.
    """

    turns: Sequence[str | Sequence[Delta] | UserError]
    piece: int = 4
    pause_seconds: float = 0.0
    asked: list[tuple[Message, ...]] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)

    async def stream_chat(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float,
        tools: Sequence[Mapping[str, Any]] = (),
        top_p: float = 1.0,
        seed: int | None = None,
    ) -> AsyncGenerator[Delta, None]:
        """Stream the next turn of the list."""
        self.asked.append(tuple(messages))
        async with aclosing(self._play()) as deltas:
            async for delta in deltas:
                yield delta

    async def stream_raw(
        self,
        prompt: str,
        *,
        max_tokens: int,
        temperature: float,
        top_p: float = 1.0,
        stop: Sequence[str] = (),
        seed: int | None = None,
        logprobs: bool = False,
    ) -> AsyncGenerator[Delta, None]:
        """Stream the next turn of the list."""
        self.prompts.append(prompt)
        async with aclosing(self._play()) as deltas:
            async for delta in deltas:
                yield delta

    async def _play(self) -> AsyncGenerator[Delta, None]:
        turn = self.turns[len(self.asked) + len(self.prompts) - 1]
        if isinstance(turn, UserError):
            raise turn
        for delta in self._cut(turn) if isinstance(turn, str) else turn:
            await asyncio.sleep(self.pause_seconds)
            yield delta

    def _cut(self, text: str) -> list[Delta]:
        starts = range(0, len(text), self.piece)
        pieces = [Delta(text=text[start : start + self.piece]) for start in starts]
        return [*pieces, Delta(finish_reason="stop", num_tokens=len(pieces))]


def _given(*, top_p: float, **options: Any) -> dict[str, Any]:
    """The options that say something: not every server takes the others."""
    given = {name: value for name, value in options.items() if value not in (None, [])}
    return given if top_p == 1 else given | {"top_p": top_p}


def _chat_form(message: Message) -> dict[str, Any]:
    """The message, with its thinking while the tools it called for are still at work."""
    chat = message.to_chat()
    if message.thinking and message.tool_calls:
        chat["reasoning_content"] = message.thinking
    return chat
