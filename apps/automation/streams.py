"""Replies that last: each holds a seat among the watchers, and lets go of it however it ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from django.http import StreamingHttpResponse

from apps.automation.seats import WATCHERS

Pieces = AsyncGenerator[bytes, None]
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Stream(StreamingHttpResponse):
    """A reply that closes its source itself.

    Django closes only the last of the generators around it; the others would go with the next
    collection of garbage, and what they hold with them.
    """

    def __init__(self, source: Pieces, **options: Any) -> None:
        super().__init__(source, **options)
        self.source = source

    def __aiter__(self) -> Pieces:
        return self.source


def event_stream(frames: Pieces, person: int) -> Stream:
    """Server-sent events to ``person``. Raises FullError when no seat is free."""
    WATCHERS.check(person)
    return Stream(_seated(frames, person), content_type="text/event-stream", headers=HEADERS)


async def _seated(frames: Pieces, person: int) -> Pieces:
    with WATCHERS.held(person):
        async with aclosing(frames) as source:
            async for frame in source:
                yield frame
