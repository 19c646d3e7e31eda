"""The short way to /v1 for programs: past Django's middleware, straight to the gateway.

Sessions and pages have no part in a request with a bearer token, and each layer that asks
whether they have costs a change of thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from apps.accounts.brakes import TooManyTriesError
from apps.automation.seats import FullError
from apps.deployments import callers, gateway, limits, wire
from apps.deployments.callers import Caller
from apps.deployments.wire import Reply

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Gateway:
    """In front of ``rest``: answers POSTs to /v1 that bring a token, passes on all others."""

    def __init__(self, rest: Application) -> None:
        self.rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = _header(scope, b"authorization")
        if scope["method"] != "POST" or scope["path"] not in gateway.PATHS or not token:
            await self.rest(scope, receive, send)
            return
        address = str((scope.get("client") or ("",))[0])
        try:
            caller = await callers.of_header(token, address)
            await _let_in(scope["path"], caller, receive, send)
        except TooManyTriesError as error:
            wait = {"Retry-After": str(error.wait_seconds)}
            await _send_reply(wire.error(429, str(error)).with_headers(wait), send)
        except FullError as error:
            await _send_reply(gateway.full(error), send)


async def _let_in(path: str, caller: Caller | None, receive: Receive, send: Send) -> None:
    """Answer on a seat, which is taken before the body is read: bodies, too, fill memory.

    Raises FullError before anything is sent.
    """
    if caller is None:
        await _send_reply(await gateway.answer(path, b"", None), send)
        return
    with limits.ANSWERS.taken(caller.user.pk):
        body = await _read(receive)
        if body is None:
            limit = gateway.MAX_BODY_BYTES
            await _send_reply(wire.error(413, f"The body is longer than {limit} bytes."), send)
            return
        await _until_gone(_answer(path, body, caller, send), receive)


async def _answer(path: str, body: bytes, caller: Caller, send: Send) -> None:
    await _send_reply(await gateway.answer(path, body, caller), send)


async def _send_reply(reply: Reply, send: Send) -> None:
    headers = [(b"content-type", reply.content_type.encode()), (b"cache-control", b"no-store")]
    headers += [(name.lower().encode(), text.encode()) for name, text in reply.headers.items()]
    if isinstance(reply.body, bytes):
        headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if isinstance(reply.body, bytes):
        await send({"type": "http.response.body", "body": reply.body})
    else:
        await _send_stream(reply.body, send)


async def _send_stream(stream: AsyncGenerator[bytes, None], send: Send) -> None:
    async with aclosing(stream) as chunks:
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _until_gone(work: Any, receive: Receive) -> None:
    """Do ``work``; when the caller leaves first, end it, and with it the server's work."""
    task = asyncio.create_task(work)
    watch = asyncio.create_task(_wait_for_leave(receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        watch.cancel()
        is_over = task.done()
        task.cancel()
        await asyncio.gather(watch, task, return_exceptions=True)
    if is_over:
        task.result()


async def _wait_for_leave(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _read(receive: Receive) -> bytes | None:
    """The body; None when it is too long."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > gateway.MAX_BODY_BYTES:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _header(scope: Scope, name: bytes) -> str:
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return ""
