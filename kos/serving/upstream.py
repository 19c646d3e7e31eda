"""A lean HTTP/1.1 client for one job: post to a model server and pass on what it streams.

A general client spends a third of a millisecond on each chunk of a stream; sixteen streams of
forty tokens a second then take a quarter of a core. This one parses with httptools, as uvicorn
does, and wakes the reader once for all that has arrived. Connections are kept for the next
request, one pool a server and event loop.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import Self, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httptools

from kos.errors import UserError
from kos.serving.client import CONNECT_SECONDS, SILENCE_SECONDS, address

# Servers close idle connections after 5 s (uvicorn's usual); we let go of them before.
IDLE_SECONDS = 4.0
# A caller that reads slowly makes the server wait, not this process grow.
MOST_HELD_BYTES = 1 << 20
# A burst may have opened hundreds; only so many are kept for the next one.
MOST_IDLE = 128
# An answer in one piece that is longer is no answer.
MOST_BODY_BYTES = 32 << 20


class UpstreamError(UserError):
    """The server does not answer, or broke off."""


class Response:
    """What a server answers: status and headers at once, the body as it comes.

    Close it, or leave its ``async with``: closing before the end closes the connection, which
    ends the server's work.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._connection.status

    @property
    def headers(self) -> Mapping[str, str]:
        """By lower-case name; of a repeated one the last."""
        return self._connection.headers

    async def read(self) -> bytes:
        """All that has arrived, at least a byte; b"" at the end. Raises UpstreamError."""
        return await self._connection.read()

    async def read_all(self, *, most_bytes: int = MOST_BODY_BYTES) -> bytes:
        """The whole body. Raises UpstreamError, also for one of more than ``most_bytes``."""
        whole = bytearray()
        while piece := await self.read():
            whole += piece
            if len(whole) > most_bytes:
                raise UpstreamError(f"it sent more than {most_bytes:,} bytes")
        return bytes(whole)

    def close(self) -> None:
        """Give the connection back, or close it when the body was not read to its end."""
        self._connection.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(eq=False)
class Upstream:
    """One server at ``url`` (TCP, TLS or a Unix socket) and the connections open to it."""

    url: str
    silence_seconds: float = SILENCE_SECONDS
    _idle: deque[Connection] = field(default_factory=deque)

    def __post_init__(self) -> None:
        base, self._socket = address(self.url)
        parts = urlsplit(base)
        self._is_secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._is_secure else 80)
        self._prefix = parts.path.rstrip("/")
        self._name = parts.netloc.rpartition("@")[2]

    async def post(self, path: str, body: bytes, *, key: str = "") -> Response:
        """Post JSON and wait for the answer's head. Raises UpstreamError.

        An idle connection that the server closed meanwhile is replaced by a fresh one, once.
        """
        head = self._head(path, len(body), key)
        while (kept := self._take_idle()) is not None:
            try:
                return await kept.ask(head + body)
            except UpstreamError:
                if kept.has_answered:
                    raise
        fresh = await self._connect()
        return await fresh.ask(head + body)

    def keep(self, connection: Connection) -> None:
        """Take back a connection whose answer was read whole."""
        self._idle.append(connection)
        if len(self._idle) > MOST_IDLE:
            self._idle.popleft().abort()

    def drop(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().abort()

    def _take_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_seconds < IDLE_SECONDS:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                if self._socket is not None:
                    _, connection = await loop.create_unix_connection(
                        lambda: Connection(self), self._socket
                    )
                else:
                    _, connection = await loop.create_connection(
                        lambda: Connection(self),
                        self._host,
                        self._port,
                        ssl=_tls() if self._is_secure else None,
                    )
        except TimeoutError as error:
            raise UpstreamError(f"no connection within {CONNECT_SECONDS:g} s") from error
        except OSError as error:
            raise UpstreamError(str(error) or type(error).__name__) from error
        return connection

    def _head(self, path: str, length: int, key: str) -> bytes:
        if not key.isprintable():
            raise UpstreamError("its key has a line break in it; add the key anew")
        lines = [
            f"POST {self._prefix}{path} HTTP/1.1",
            f"Host: {self._name}",
            "Content-Type: application/json",
            f"Content-Length: {length}",
            "Accept-Encoding: identity",
            "User-Agent: kos",
            *([f"Authorization: Bearer {key}"] if key else []),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


class Connection(asyncio.Protocol):
    """One connection, for one exchange at a time."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._idle_since = time.monotonic()
        self._watchdog: asyncio.TimerHandle | None = None
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.headers: dict[str, str] = {}
        self.has_answered = False
        self._has_head = False
        self._is_over = True
        self._error: UpstreamError | None = None
        self._pieces: list[bytes] = []
        self._held = 0
        self._is_paused = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def idle_seconds(self) -> float:
        """Since the last exchange."""
        return time.monotonic() - self._idle_since

    async def ask(self, request: bytes) -> Response:
        """Send ``request`` and wait for the answer's head."""
        self._begin()
        self._is_over = False
        self._heard = time.monotonic()
        assert self._transport is not None, "connected"
        self._transport.write(request)
        self._watch()
        try:
            while not self._has_head:
                await self._wait()
        except BaseException:
            self.abort()
            raise
        return Response(self)

    async def read(self) -> bytes:
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._is_over:
                return b""
            await self._wait()
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._held = 0
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        return data

    def release(self) -> None:
        """The reader is through: keep the connection if the answer is, else close it."""
        self._unwatch()
        is_clean = self._is_over and self._has_head and self._error is None
        if is_clean and self._can_stay and not self._pieces and self._transport is not None:
            self._idle_since = time.monotonic()
            self._upstream.keep(self)
        else:
            self.abort()

    def abort(self) -> None:
        """Close at once."""
        self._unwatch()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    # --- asyncio's calls ------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._heard = time.monotonic()
        self.has_answered = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"it does not speak HTTP ({error})")
        if self._held > MOST_HELD_BYTES and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._upstream.drop(self)
        ends_by_closing = self._has_head and not (
            "content-length" in self.headers or "transfer-encoding" in self.headers
        )
        if not self._is_over and not ends_by_closing:
            self._fail(str(error) if error else "it closed the connection")
        self._is_over, self._can_stay = True, False
        self._wake()

    # --- httptools' calls -----------------------------------------------------------------
    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head is whole; one of the 100s only announces another."""
        self.status = self._parser.get_status_code()
        self._has_head = self.status >= 200
        if not self._has_head:
            self.headers.clear()

    def on_body(self, body: bytes) -> None:
        """Some of the body, without its chunks' frames."""
        self._pieces.append(body)
        self._held += len(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        self._can_stay = self._parser.should_keep_alive()
        self._is_over = self._has_head

    # --- Waiting --------------------------------------------------------------------------
    _can_stay = False
    _heard = 0.0

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        if self._error is not None and not self._pieces:
            raise self._error

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, sentence: str) -> None:
        if self._error is None:
            self._error = UpstreamError(sentence)
        self._wake()

    def _watch(self) -> None:
        """One timer an exchange, set anew when it finds that something came meanwhile."""
        left = self._heard + self._upstream.silence_seconds - time.monotonic()
        if left <= 0:
            self._fail(f"it was silent for {self._upstream.silence_seconds:g} s")
            return
        self._watchdog = self._loop.call_later(left, self._watch)

    def _unwatch(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None


class Pool:
    """The servers that this process talks to, each event loop with its own connections."""

    def __init__(self) -> None:
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Upstream]] = (
            WeakKeyDictionary()
        )

    def at(self, url: str) -> Upstream:
        """The server at ``url``."""
        servers = self._loops.setdefault(asyncio.get_running_loop(), {})
        if url not in servers:
            servers[url] = Upstream(url)
        return servers[url]

    def close(self) -> None:
        """Let go of this loop's connections."""
        for server in self._loops.pop(asyncio.get_running_loop(), {}).values():
            server.close()


@lru_cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
