"""An answer as it is written: server-sent events that end with the whole of it."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from django.db import connection
from django.http import HttpRequest

from apps.accounts.auth import user_in
from apps.automation.streams import event_stream
from apps.chat import watching
from apps.chat.api.room import find_message, router
from apps.chat.api.shapes import message_out
from apps.chat.models import ChatMessage, Conversation
from apps.chat.services import Draft

HEARTBEAT_SECONDS = 10.0
HEARTBEAT = b": still here\n\n"
SSE: dict[str, Any] = {
    "responses": {
        200: {
            "description": "Server-sent events: `event`, and `data` in JSON.",
            "content": {
                "text/event-stream": {
                    "schema": {
                        "type": "string",
                        "examples": [
                            'event: draft\ndata: {"is_first": true, "thinking": "", "content":'
                            ' "Rest", "tools": [], "num_tokens": 1}\n\n'
                        ],
                    }
                }
            },
        }
    }
}


@router.get(
    "/messages/{int:pk}/stream",
    response={200: None},
    openapi_extra=SSE,
    summary="Follow an answer",
)
async def stream(request: HttpRequest, pk: int) -> Any:
    """`event: draft` has what is new: text to append to `thinking` and `content`, and the calls
    of tools in which something changed. With `is_first` what came before is void: an answer may
    be drawn again. `event: end` has the whole message. Who comes late gets all there is."""
    message = await sync_to_async(_find)(request, pk)
    return event_stream(follow(message.conversation, pk), user_in(request).pk)


async def follow(conversation: Conversation, pk: int) -> AsyncGenerator[bytes, None]:
    """The answer's drafts as frames, and the message when it is over."""
    told, told_at = Told(), time.monotonic()
    async with aclosing(watching.drafts(conversation, pk)) as drafts:
        async for draft in drafts:
            if (news := told.news(draft)) is not None:
                yield _frame("draft", json.dumps(news, ensure_ascii=False))
            elif time.monotonic() - told_at < HEARTBEAT_SECONDS:
                continue
            else:
                yield HEARTBEAT
            told_at = time.monotonic()
    row = await ChatMessage.objects.aget(pk=pk)
    shown = await database_sync_to_async(message_out)(row, conversation)
    yield _frame("end", shown.model_dump_json())


class Told:
    """How much of a growing answer one caller has."""

    def __init__(self) -> None:
        self._epoch, self._is_first = 0, True
        self._content = self._thinking = ""
        self._is_running: dict[int, bool] = {}

    def news(self, draft: Draft) -> dict[str, Any] | None:
        """What the caller lacks of ``draft``; None for nothing."""
        is_void = not draft.content.startswith(self._content)
        if draft.epoch != self._epoch or is_void:
            self._epoch, self._is_first, self._content, self._thinking = draft.epoch, True, "", ""
        found = {
            "is_first": self._is_first,
            "thinking": draft.thinking[len(self._thinking) :],
            "content": draft.content[len(self._content) :],
            "tools": self._changed(draft),
            "num_tokens": draft.num_tokens,
            "seconds": round(draft.seconds, 1),
        }
        self._is_first, self._content, self._thinking = False, draft.content, draft.thinking
        is_new = any(found[name] for name in ("is_first", "thinking", "content", "tools"))
        return found if is_new else None

    def _changed(self, draft: Draft) -> list[dict[str, Any]]:
        """The tool calls that are new or over now, each with its place."""
        found = []
        for place, record in enumerate(draft.tools):
            is_running = record.get("is_running", False)
            if self._is_running.get(place) is not is_running:
                self._is_running[place] = is_running
                found.append({"place": place, **record})
        return found


def _frame(event: str, data: str) -> bytes:
    return f"event: {event}\ndata: {data}\n\n".encode()


def _find(request: HttpRequest, pk: int) -> ChatMessage:
    message = find_message(request, pk)
    # The reply lasts as long as the answer, and the pool would miss its connection.
    if not connection.in_atomic_block:
        connection.close()
    return message
