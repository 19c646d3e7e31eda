"""The socket of a conversation: send, edit, stop and branch; the answer as it is written.

Frames to the browser, by ``kind``:

========= ================================================================================
message   ``id``, ``html`` of a whole message and ``ids`` of all that stand; replace or append
ids       ``ids`` of all that stand, when nothing is new but something is gone
writing   ``id``; ``thinking`` and ``blocks`` to append, ``tail`` to show as plain text,
          ``calls``: tool cards that changed; with ``is_first`` what was appended before goes
accepted  the message of ``form`` was taken
refused   ``text`` says why the command of ``form`` was not
warned    ``html`` says what in the text may tell who a patient is
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
from apps.chat import answers, services
from apps.chat.growing import Answer
from apps.chat.models import ChatMessage, Conversation
from apps.chat.reading import Shown, shown_path
from apps.chat.services import Draft, IdentifiersError
from apps.chat.streaming import View
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
    stands: list[int]

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
        self.stands = await database_sync_to_async(self._before)(self._after())
        self.follower = asyncio.create_task(self._follow())

    async def disconnect(self, code: int) -> None:
        if self.follower is not None:
            self.follower.cancel()
            await asyncio.gather(self.follower, return_exceptions=True)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        if self.follower is None or not isinstance(content, dict):
            return
        form = str(content.get("form", ""))
        try:
            await self._do(content)
        except IdentifiersError as error:
            html = render_to_string("chat/_warning.html", {"found": error.found})
            await self.send_json({"kind": "warned", "html": html, "form": form})
        except UserError as error:
            await self.send_json({"kind": "refused", "text": str(error), "form": form})

    async def _do(self, command: dict[str, Any]) -> None:
        match command.get("do"):
            case "send" | "edit":
                answer = await database_sync_to_async(self._ask)(command)
                await self.send_json({"kind": "accepted", "form": command.get("form", "")})
                await answers.start(answer)
            case "regenerate":
                answer = await database_sync_to_async(self._again)(command.get("message"))
                await answers.start(answer)
            case "show":
                await database_sync_to_async(self._show)(command.get("message"))
                await answers.tell(self.conversation.pk)
            case "stop":
                await answers.stop(self.conversation)

    def _ask(self, command: dict[str, Any]) -> ChatMessage:
        text, is_warned = str(command.get("text", "")), command.get("anyway") is True
        if command["do"] == "edit":
            message = self._message(command.get("message"))
            return services.edit(self.conversation, message, text, is_warned=is_warned)
        deployment = self._deployment(command.get("deployment"))
        return services.add_message(
            self.conversation, text, deployment=deployment, is_warned=is_warned
        )

    def _again(self, pk: object) -> ChatMessage:
        answer = None if pk is None else self._message(pk)
        return services.regenerate(self.conversation, answer)

    def _show(self, pk: object) -> None:
        services.show(self.conversation, self._message(pk))

    def _message(self, pk: object) -> ChatMessage:
        found = self.conversation.messages.filter(pk=pk).first() if isinstance(pk, int) else None
        if found is None:
            raise UserError("That message is gone. Load the page again.")
        return found

    def _deployment(self, pk: object) -> Deployment | None:
        if not isinstance(pk, int):
            return None
        visible = Deployment.objects.visible_to(self.user).select_related("run")
        found = visible.filter(pk=pk).first()
        if found is None:
            raise UserError("That deployment is gone. Choose another one.")
        return found

    async def _follow(self) -> None:
        """Send what is new, for as long as the socket is open."""
        room = answers.room_of(self.conversation.pk)
        try:
            while True:
                await self._send_news(room)
        except DatabaseError:
            # The browser comes back and says where it was.
            await self.close(TRY_AGAIN)

    async def _send_news(self, room: answers.Room) -> None:
        """Send what is new, waiting for it if need be."""
        moved = room.moved
        frames, writing = await database_sync_to_async(self._news)()
        for frame in frames:
            await self.send_json(frame)
        if writing is None:
            await moved.wait()
        else:
            await self._watch(room, writing)
            self.stands.remove(writing)  # once more, whole

    def _news(self) -> tuple[list[Any], int | None]:
        """Frames of the messages that the browser lacks, and which of them is being written."""
        services.close_silent(self.conversation)
        self.conversation.refresh_from_db(fields=["deployment", "leaf"])
        path = shown_path(self.conversation)
        ids = [shown.message.pk for shown in path]
        same = _num_shared(self.stands, ids)
        frames: list[Any] = [self._frame(shown, ids) for shown in path[same:]]
        if not frames and len(self.stands) > len(ids):
            frames = [{"kind": "ids", "ids": ids}]
        self.stands = ids
        writing = next((one.message.pk for one in path if one.message.is_writing), None)
        return frames, writing

    def _frame(self, shown: Shown, ids: list[int]) -> MessageFrame:
        context = {"shown": shown, "message": shown.message, "conversation": self.conversation}
        html = render_to_string("chat/_message.html", context)
        return {"kind": "message", "id": shown.message.pk, "html": html, "ids": ids}

    async def _watch(self, room: answers.Room, pk: int) -> None:
        """Send an answer as it grows, until it is over."""
        view = View(self.conversation.pk, pk)
        while (draft := await self._draft(room, pk)) is not None:
            # In a thread, for templates and Markdown of a long answer take their time.
            await self.send_json(await database_sync_to_async(view.frame)(draft))
            is_ours = room.answer is not None
            await asyncio.sleep(FRAME_SECONDS if is_ours else POLL_SECONDS)

    async def _draft(self, room: answers.Room, pk: int) -> Draft | None:
        if isinstance(room.answer, Answer) and room.answer.pk == pk:
            return room.answer.draft
        await database_sync_to_async(services.close_silent)(self.conversation)
        row = await ChatMessage.objects.writing().filter(pk=pk).afirst()
        if row is None:
            return None
        return Draft(
            row.content, row.thinking, row.num_tokens, row.seconds, row.tools, row.sources
        )

    def _before(self, after: int) -> list[int]:
        """The messages that the browser has, when the last whole one is ``after``."""
        tree = services.tree_of(self.conversation)
        return [message.pk for message in tree.path(after)] if after in tree.messages else []

    def _after(self) -> int:
        after = parse_qs(self.scope["query_string"].decode()).get("after", ["0"])[0]
        return int(after) if after.isdecimal() else 0


def _num_shared(some: list[int], others: list[int]) -> int:
    """How many of both are the same from the start."""
    pairs = zip(some, others, strict=False)
    return next(
        (place for place, (one, other) in enumerate(pairs) if one != other),
        min(len(some), len(others)),
    )
