"""What runs say, as they say it: server-sent events that can be taken up again."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from typing import Any

import psycopg
from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest
from ninja import Field, Query, Schema

from apps.accounts.auth import require_engineer, user_in
from apps.accounts.models import Scope
from apps.accounts.numerals import number
from apps.automation.rest import LARGEST_ID, Room
from apps.automation.streams import event_stream
from apps.runs.api.shapes import find
from apps.runs.hub import Hub, hub
from apps.runs.models import ENDED

router = Room("runs", reading=Scope.RUNS_READ, writing=Scope.RUNS_WRITE)

HEARTBEAT_SECONDS = 10.0
# Long enough for most, short enough that a deploy of Kos is not held up; callers come back.
LIFE_SECONDS = 15 * 60.0
CHANGES_EVERY_SECONDS = 1.0
RETRY = b"retry: 2000\n\n"
HEARTBEAT = b": still here\n\n"
PAGE = 500

SSE: dict[str, Any] = {
    "responses": {
        200: {
            "description": "Server-sent events: `id`, `event`, and `data` in JSON.",
            "content": {
                "text/event-stream": {
                    "schema": {
                        "type": "string",
                        "examples": [
                            'id: 12\nevent: step\ndata: {"seq": 12, "kind": "step", "attempt": 1,'
                            ' "at": "2026-01-01T12:00:00Z", "data": {}}\n\n'
                        ],
                    }
                }
            },
        }
    },
    "parameters": [
        {
            "name": "Last-Event-ID",
            "in": "header",
            "required": False,
            "description": "The `id` that was read last; goes before `after`.",
            "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
        }
    ],
}


class StreamWanted(Schema):
    after: int = Field(0, ge=0, le=LARGEST_ID, description="Only events after this `id`.")


class ChangesWanted(Schema):
    after: int | None = Field(
        None, ge=0, le=LARGEST_ID, description="Only changes after this `id`; empty: from now on."
    )
    everybody: bool = Field(False, description="The runs of others too.")


@router.get(
    "/runs/{int:pk}/stream", response={200: None}, openapi_extra=SSE, summary="Follow a run"
)
async def stream(request: HttpRequest, pk: int, wanted: Query[StreamWanted]) -> Any:
    """All events after `after` or `Last-Event-ID`, then live ones, each once and in order;
    `event: end` when the run has ended and all is told. Comments keep the line open. It closes
    after a quarter of an hour: come back with `Last-Event-ID`."""
    await sync_to_async(_check)(request, pk)
    frames = follow(hub, pk, _after(request, wanted.after) or 0)
    return event_stream(frames, user_in(request).pk)


@router.get(
    "/events", response={200: None}, openapi_extra=SSE, summary="Follow the status of my runs"
)
async def changes(request: HttpRequest, wanted: Query[ChangesWanted]) -> Any:
    """One `event: status` a change, with the run's id, name and status. A change may come twice
    after a reconnect; its `id` is the same."""
    user = await sync_to_async(require_engineer)(request)
    await sync_to_async(_let_go)()
    owner = None if wanted.everybody else user.pk
    return event_stream(follow_changes(hub, owner, _after(request, wanted.after)), user.pk)


async def follow(
    source: Hub, run_id: int, after: int, *, heartbeat: float = HEARTBEAT_SECONDS
) -> AsyncGenerator[bytes, None]:
    """The run's events after ``after`` as frames, until it has ended or the line is old."""
    topic = await source.join(run_id, after)
    ends_at = time.monotonic() + LIFE_SECONDS
    try:
        yield RETRY
        while time.monotonic() < ends_at:
            moved = topic.moved
            has_all = topic.holds(after)
            page = topic.page(after) if has_all else await source.read(run_id, after)
            for row in page.rows:
                after += 1
                yield _frame(after, row)
            if page.rows:
                continue
            if await _is_over(source, run_id, after):
                yield f"id: {after}\nevent: end\ndata: {{}}\n\n".encode()
                return
            try:
                async with asyncio.timeout(heartbeat):
                    await moved.wait()
            except TimeoutError:
                yield HEARTBEAT
    except psycopg.Error:
        return  # the caller comes back and says where it was
    finally:
        await source.leave(topic)


async def follow_changes(
    source: Hub, owner: int | None, after: int | None, *, every: float = CHANGES_EVERY_SECONDS
) -> AsyncGenerator[bytes, None]:
    """Changes of status of the owner's runs, or of all, as frames."""
    ends_at = time.monotonic() + LIFE_SECONDS
    told_at = time.monotonic()
    try:
        async with source.reading():
            last = await source.newest() if after is None else after
            # Where it begins: who comes back before the first change misses none.
            yield f"id: {last}\n".encode() + RETRY
            while time.monotonic() < ends_at:
                for event_id, text in await source.changes(last, owner, limit=PAGE):
                    last, told_at = event_id, time.monotonic()
                    yield f"id: {event_id}\nevent: status\ndata: {text}\n\n".encode()
                if time.monotonic() - told_at >= HEARTBEAT_SECONDS:
                    told_at = time.monotonic()
                    yield HEARTBEAT
                await asyncio.sleep(every)
    except psycopg.Error:
        return


def _frame(seq: int, row: str) -> bytes:
    kind = json.loads(row)["kind"]
    return f"id: {seq}\nevent: {kind}\ndata: {row}\n\n".encode()


async def _is_over(source: Hub, run_id: int, seen: int) -> bool:
    status, last_seq = await source.standing(run_id)
    return status in (*ENDED, "") and seen >= last_seq


def _check(request: HttpRequest, pk: int) -> None:
    find(request, pk)
    _let_go()


def _let_go() -> None:
    """Give the connection back: the reply lasts for minutes, and the pool would miss it."""
    if not connection.in_atomic_block:
        connection.close()


def _after(request: HttpRequest, wanted: int | None) -> int | None:
    seen = number(request.headers.get("Last-Event-ID", ""), most=18)
    return wanted if seen is None else seen
