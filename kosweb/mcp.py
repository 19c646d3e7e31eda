"""Kos's tools for MCP clients at /mcp: who may call them, and how often.

The client sends an API token that is good for tools (``Authorization: Bearer kos_...``). The
rest is ``kos.mcp.server``, loaded with the first call: it takes seconds.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from channels.db import database_sync_to_async
from django.conf import settings
from django.http.request import split_domain_port, validate_host

from apps.accounts import services as accounts
from apps.accounts.brakes import TooManyTriesError
from apps.accounts.models import ApiToken, Scope
from apps.automation.rates import Buckets
from apps.tools.services import open_desk

if TYPE_CHECKING:
    from kos.mcp.server import HttpApp, Seat

PATHS = ("/mcp", "/mcp/")
CALLS_PER_MINUTE = 120
MAX_SEATS = 256
# A new key or a changed setting counts after so long.
SEAT_SECONDS = 300.0

Asgi = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


@dataclass(frozen=True)
class Kept:
    """A caller's seat, and since when."""

    seat: Seat
    since: float


class Mcp:
    """In front of ``rest``: answers at /mcp, passes on all else."""

    def __init__(self, rest: Asgi) -> None:
        self.rest = rest
        self._app: HttpApp | None = None
        self._loading = asyncio.Lock()
        self._buckets = Buckets()
        self._seats: OrderedDict[int, Kept] = OrderedDict()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] not in PATHS:
            await self.rest(scope, receive, send)
            return
        try:
            token = await _caller(scope)
        except TooManyTriesError as error:
            await _refuse(send, 429, str(error), {"Retry-After": str(error.wait_seconds)})
            return
        if token is None:
            sentence = "Send an API token that is good for tools: Authorization: Bearer kos_..."
            await _refuse(send, 401, sentence, {"WWW-Authenticate": 'Bearer realm="kos"'})
            return
        verdict = self._buckets.take(str(token.pk), CALLS_PER_MINUTE)
        if not verdict.is_allowed:
            sentence = f"At most {CALLS_PER_MINUTE} requests a minute; wait a little."
            wait = {"Retry-After": str(verdict.retry_seconds)}
            await _refuse(send, 429, sentence, {**verdict.headers, **wait})
            return
        app = await self._load()
        seat = await self._seat(token)
        await app({**scope, "kos.seat": seat}, receive, send)

    async def close(self) -> None:
        """End the sessions; called when the server stops."""
        if self._app is not None:
            await self._app.stop()

    async def _load(self) -> HttpApp:
        async with self._loading:
            if self._app is None:
                self._app = await asyncio.to_thread(_make_app)
        return self._app

    async def _seat(self, token: ApiToken) -> Seat:
        kept = self._seats.get(token.pk)
        if kept is None or time.monotonic() - kept.since > SEAT_SECONDS:
            seat = await database_sync_to_async(_open_seat)(token)
            if kept is not None:
                # The sources it has seen stay; its keys are read anew.
                seat.book, seat.desk.sources = kept.seat.book, kept.seat.desk.sources
                seat.desk.known_urls = kept.seat.desk.known_urls
            kept = self._seats[token.pk] = Kept(seat, time.monotonic())
        self._seats.move_to_end(token.pk)
        while len(self._seats) > MAX_SEATS:
            self._seats.popitem(last=False)
        return kept.seat


def is_allowed_host(host: str) -> bool:
    """Whether a Host header, or the host of an Origin, is one of ``ALLOWED_HOSTS``."""
    domain, _port = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def _make_app() -> HttpApp:
    from kos.mcp.server import HttpApp
    from kos.tools.registry import all_tools

    return HttpApp(all_tools(), is_allowed_host=is_allowed_host, version=settings.REVISION)


def _open_seat(token: ApiToken) -> Seat:
    from kos.mcp.server import Seat

    return Seat(open_desk(token.user).for_conversation())


async def _caller(scope: dict[str, Any]) -> ApiToken | None:
    """Whose token it is; raises TooManyTriesError for an address that guesses."""
    address = str((scope.get("client") or ("",))[0])
    return await database_sync_to_async(_token_of)(_header(scope, b"authorization"), address)


def _token_of(header: str, address: str) -> ApiToken | None:
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "bearer":
        return None
    return accounts.token_of(text.strip(), Scope.TOOLS, address=address)


def _header(scope: dict[str, Any], name: bytes) -> str:
    return next((str(v.decode("latin-1")) for k, v in scope["headers"] if k == name), "")


async def _refuse(send: Any, status: int, sentence: str, headers: dict[str, str]) -> None:
    body = json.dumps({"detail": sentence}).encode()
    told = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.lower().encode(), text.encode()) for name, text in told.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})
