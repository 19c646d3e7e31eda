"""The socket of a conversation: send, stop and regenerate; the answer as it is written.

Frames to the browser, by ``kind``:

========= ================================================================================
message   ``id``, ``html`` of a whole message and ``ids`` of all that stand; replace or append
writing   ``id``; ``thinking`` and ``blocks`` to append, ``tail`` to show as plain text;
          with ``is_first`` what was appended before goes
accepted  the message of the last "send" was taken
refused   ``text`` says why the last command was not
========= ================================================================================
"""

from __future__ import annotations

import asyncio
from typing import Any, TypedDict
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.db import DatabaseError
from django.template.loader import render_to_string

from apps.accounts.models import User
from apps.chat import answers, markdown, services
from apps.chat.models import ChatMessage, Conversation
from apps.chat.services import Draft
from apps.deployments.models import Deployment
from kos.errors import UserError

NOT_SIGNED_IN = 4401
NOT_FOUND = 4404
TRY_AGAIN = 1013
FRAME_SECONDS = 0.1
# How often the row is read while another process writes the answer.
POLL_SECONDS = 0.5


class MessageFrame(TypedDict):
    kind: str
    id: int
    html: str
    ids: list[int]


class ChatConsumer(AsyncJsonWebsocketConsumer):
    """``/ws/chat/<pk>/?after=ID``: ID is the last message that stands whole in the page."""

    user: User
    conversation: Conversation
    follower: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        # A browser sees the reason of a refusal only on an open socket.
        await self.accept()
        user = self.scope.get("user")
        if not isinstance(user, User):
            await self.close(NOT_SIGNED_IN)
            return
        visible = Conversation.objects.visible_to(user).select_related("deployment__run")
        found = await visible.filter(pk=self.scope["url_route"]["kwargs"]["pk"]).afirst()
        if found is None:
            await self.close(NOT_FOUND)
            return
        self.user, self.conversation = user, found
        self.follower = asyncio.create_task(self._follow(self._after()))

    async def disconnect(self, code: int) -> None:
        if self.follower is not None:
            self.follower.cancel()
            await asyncio.gather(self.follower, return_exceptions=True)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        if self.follower is None or not isinstance(content, dict):
            return
        try:
            match content.get("do"):
                case "send":
                    await self._send(str(content.get("text", "")), content.get("deployment"))
                case "regenerate":
                    answer = await database_sync_to_async(services.regenerate)(self.conversation)
                    await answers.start(answer.pk)
                case "stop":
                    await answers.stop(self.conversation)
        except UserError as error:
            await self.send_json({"kind": "refused", "text": str(error)})

    async def _send(self, text: str, deployment_id: object) -> None:
        deployment = await self._deployment(deployment_id)
        answer = await database_sync_to_async(services.add_message)(
            self.conversation, text, deployment=deployment
        )
        await self.send_json({"kind": "accepted"})
        await answers.start(answer.pk)

    async def _deployment(self, pk: object) -> Deployment | None:
        if not isinstance(pk, int):
            return None
        visible = Deployment.objects.visible_to(self.user).select_related("run")
        found = await visible.filter(pk=pk).afirst()
        if found is None:
            raise UserError("That deployment is gone. Choose another one.")
        return found

    async def _follow(self, after: int) -> None:
        """Send what comes after the message ``after``, for as long as the socket is open."""
        room = answers.room_of(self.conversation.pk)
        try:
            while True:
                after = await self._send_news(room, after)
        except DatabaseError:
            # The browser comes back and says where it was.
            await self.close(TRY_AGAIN)

    async def _send_news(self, room: answers.Room, after: int) -> int:
        """Send what is new, waiting for it if need be; returns the new place."""
        moved = room.moved
        frames, writing = await database_sync_to_async(self._news)(after)
        for frame in frames:
            await self.send_json(frame)
            after = frame["id"]
        if writing is None:
            await moved.wait()
            return after
        await self._watch(room, writing)
        return writing - 1  # once more, whole

    def _news(self, after: int) -> tuple[list[MessageFrame], int | None]:
        """Frames of the messages after ``after``, and which of them is being written."""
        services.close_silent(self.conversation)
        self.conversation.refresh_from_db(fields=["deployment"])
        messages = [*self.conversation.messages.all()]
        ids = [message.pk for message in messages]
        frames: list[MessageFrame] = [
            {"kind": "message", "id": message.pk, "html": self._html(message), "ids": ids}
            for message in messages
            if message.pk > after
        ]
        writing = next((message.pk for message in messages if message.is_writing), None)
        return frames, writing

    def _html(self, message: ChatMessage) -> str:
        context = {"message": message, "conversation": self.conversation}
        return render_to_string("chat/_message.html", context)

    async def _watch(self, room: answers.Room, pk: int) -> None:
        """Send an answer as it grows, until it is over."""
        view = View(pk)
        while (draft := await self._draft(room, pk)) is not None:
            await self.send_json(view.frame(draft))
            is_ours = room.answer is not None
            await asyncio.sleep(FRAME_SECONDS if is_ours else POLL_SECONDS)

    async def _draft(self, room: answers.Room, pk: int) -> Draft | None:
        if room.answer is not None and room.answer.pk == pk:
            return room.answer.draft
        await database_sync_to_async(services.close_silent)(self.conversation)
        row = await ChatMessage.objects.writing().filter(pk=pk).afirst()
        if row is None:
            return None
        return Draft(row.content, row.thinking, row.num_tokens, row.seconds)

    def _after(self) -> int:
        after = parse_qs(self.scope["query_string"].decode()).get("after", ["0"])[0]
        return int(after) if after.isdecimal() else 0


class View:
    """How much of a growing answer one browser has."""

    def __init__(self, pk: int) -> None:
        self._pk = pk
        self._is_first = True
        self._num_thinking = 0
        self._num_content = 0

    def frame(self, draft: Draft) -> dict[str, Any]:
        """What is new: finished blocks as HTML, the open one as text."""
        finished, tail = markdown.split(draft.content[self._num_content :])
        frame = {
            "kind": "writing",
            "id": self._pk,
            "is_first": self._is_first,
            "thinking": draft.thinking[self._num_thinking :],
            "blocks": markdown.render(finished) if finished else "",
            "tail": tail,
            "num_tokens": draft.num_tokens,
            "seconds": round(draft.seconds, 1),
        }
        self._is_first = False
        self._num_thinking = len(draft.thinking)
        self._num_content += len(finished)
        return frame
