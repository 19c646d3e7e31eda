"""How much the pages and calls may ask of this process at once: requests, and bytes of a body.

Past a limit the answer is a refusal at once, with ``Retry-After`` where waiting helps. What
Django would do otherwise: a thread for each request, all of which wait for the same few
connections of the database, and a file in ``/tmp`` of whatever length somebody sends.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

from django.conf import settings

from apps.automation.seats import FullError, Seats, Words
from kosweb.measuring import ASGIApp
from kosweb.problems import CONTENT_TYPE, TYPES_AT
from kosweb.requests import is_api

# The load balancer asks for these just when there is a crowd.
PROBES = ("/healthz", "/readyz", "/metrics")
RETRY_SECONDS = 2
REQUESTS = Seats(
    Words("", "Kos works on {} requests at once here, which is the most. Try again in a moment."),
    lambda: settings.MOST_REQUESTS,
    lambda: 0,
)


class TooLongError(Exception):
    """The body goes on past the limit."""


class Crowd:
    """In front of ``rest``: refuses what is too much. A request counts until its reply begins."""

    def __init__(self, rest: ASGIApp) -> None:
        self.rest = rest

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        most = settings.MOST_BODY_BYTES
        if most and _length(scope) > most:
            await _refuse(scope, send, 413, _too_long(most))
            return
        with ExitStack() as seat:
            try:
                if scope["path"] not in PROBES:
                    seat.enter_context(REQUESTS.taken(None))
            except FullError as error:
                await _refuse(scope, send, 503, str(error), retry_seconds=RETRY_SECONDS)
                return
            await self._pass_on(scope, receive, send, seat)

    async def _pass_on(
        self, scope: dict[str, Any], receive: Any, send: Any, seat: ExitStack
    ) -> None:
        most, has_begun = settings.MOST_BODY_BYTES, False
        num_bytes = 0

        async def read() -> Any:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if most and num_bytes > most:
                raise TooLongError
            return message

        async def tell(message: dict[str, Any]) -> None:
            nonlocal has_begun
            has_begun = True
            # A stream that follows something has a seat among the watchers.
            seat.close()
            await send(message)

        try:
            await self.rest(scope, read, tell)
        except TooLongError:
            if not has_begun:
                await _refuse(scope, send, 413, _too_long(most))


def _too_long(most: int) -> str:
    return f"The request is longer than {most:,} bytes. Send less, or in parts."


def _length(scope: dict[str, Any]) -> int:
    told = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(told) if told.isdigit() else 0


async def _refuse(
    scope: dict[str, Any], send: Any, status: int, sentence: str, *, retry_seconds: int = 0
) -> None:
    kind, body = "text/plain; charset=utf-8", sentence
    if is_api(scope["path"]):
        name, title = {413: ("too-large", "Content Too Large"), 503: ("busy", "Busy")}[status]
        told = {"type": f"{TYPES_AT}{name}", "title": title, "status": status, "detail": sentence}
        kind, body = CONTENT_TYPE, json.dumps(told)
    headers = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(body.encode())).encode()),
        (b"cache-control", b"no-store"),
        *([(b"retry-after", str(retry_seconds).encode())] if retry_seconds else []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})
