"""Every request is timed: those that Django answers by a middleware, the rest around the app.

Spans for traces begin and end in the same places, where tracing is on.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.db import connection
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from apps.accounts.requests import current
from kosweb import tracing

POOL_SECONDS = 5.0
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
# What is answered before Django, by address.
BEFORE_DJANGO = ("/v1/chat/completions", "/v1/completions", "/v1/models", "/mcp")

ASGIApp = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class Measured:
    """Middleware: counts and times every request by its route, and keeps who asks."""

    async_capable = True
    sync_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if self.is_async:
            return self._answer_async(request)
        told = current.set(request)
        try:
            with tracing.request_span(request) as span:
                begun = self._begin(request)
                response: HttpResponseBase = self.get_response(request)
                self._end(request, response, begun, span)
        finally:
            current.reset(told)
        return response

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        told = current.set(request)
        try:
            with tracing.request_span(request) as span:
                begun = self._begin(request)
                response: HttpResponseBase = await self.get_response(request)
                self._end(request, response, begun, span)
        finally:
            current.reset(told)
        return response

    def _begin(self, request: HttpRequest) -> float:
        _told(getattr(request, "scope", {}))["by_django"] = True
        return time.perf_counter()

    def _end(
        self, request: HttpRequest, response: HttpResponseBase, begun: float, span: Any
    ) -> None:
        route = route_of(request)
        tracing.end_request(
            span, request.method or "", route, response.status_code, number=_run_of(request, route)
        )
        count(request.method or "", route, response.status_code, time.perf_counter() - begun)


def route_of(request: HttpRequest) -> str:
    """The pattern that the address fits, never the address: that would be a name a page."""
    match = getattr(request, "resolver_match", None)
    return f"/{match.route}" if match is not None else "none"


def _run_of(request: HttpRequest, route: str) -> int | None:
    """The run that a page or call below ``/runs/`` or ``/api/runs/`` is about."""
    match = request.resolver_match
    if match is None or not route.removeprefix("/api").startswith("/runs/<int"):
        return None
    return next((value for value in match.kwargs.values() if isinstance(value, int)), None)


def count(method: str, route: str, status: int, seconds: float) -> None:
    """One request more."""
    # Only here: see kosweb.meters.
    from kosweb import meters

    method = method if method in METHODS else "other"
    meters.HTTP_SECONDS.labels(method, route).observe(seconds)
    meters.HTTP_REQUESTS.labels(method, route, str(status)).inc()
    _note_pool()


class Timed:
    """ASGI: counts sockets, and the requests that are answered before Django sees them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await self._request(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _request(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        begun = time.perf_counter()
        told = _told(scope)

        async def tell(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start" and not told.get("by_django"):
                seconds = time.perf_counter() - begun
                count(scope["method"], _address(scope), message["status"], seconds)
            await send(message)

        await self.app(scope, receive, tell)

    async def _socket(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        from kosweb import meters

        kind = scope["path"].strip("/").split("/")[1:2]
        gauge = meters.SOCKETS.labels(kind[0] if kind and kind[0] in ("runs", "chat") else "other")
        gauge.inc()
        try:
            await self.app(scope, receive, send)
        finally:
            gauge.dec()


def _told(scope: dict[str, Any]) -> dict[str, Any]:
    """What is known of a request; apps in between copy the scope, but not this."""
    told: dict[str, Any] = scope.setdefault("kos", {})
    return told


def _address(scope: dict[str, Any]) -> str:
    path = scope["path"]
    return next((known for known in BEFORE_DJANGO if path.rstrip("/") == known), "none")


_pool_noted = 0.0


def _note_pool() -> None:
    """This process's share of the pools' numbers, now and then."""
    global _pool_noted
    pool = getattr(connection, "pool", None)
    if pool is None or time.monotonic() - _pool_noted < POOL_SECONDS:
        return
    _pool_noted = time.monotonic()
    from kosweb import meters

    stats = pool.get_stats()
    for state, name in (
        ("size", "pool_size"),
        ("available", "pool_available"),
        ("waiting", "requests_waiting"),
        ("waited", "requests_queued"),
        ("waited_ms", "requests_wait_ms"),
    ):
        meters.POOL.labels(state).set(stats.get(name, 0))
