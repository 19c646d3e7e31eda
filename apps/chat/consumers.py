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

from contextlib import aclosing
from typing import Any, TypedDict
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.db import DatabaseError
from django.template.loader import render_to_string

from apps.accounts.models import User
from apps.accounts.numerals import number
from apps.automation.sockets import NOT_FOUND, TRY_AGAIN, Watcher
from apps.automation.threads import in_thread
from apps.chat import answers, services, watching
from apps.chat.models import ChatMessage, Conversation
from apps.chat.reading import Shown, shown_path
from apps.chat.services import IdentifiersError
from apps.chat.streaming import View
from apps.deployments.models import Deployment
from kos.errors import UserError


class MessageFrame(TypedDict):
    kind: str
    id: int
    html: str
    ids: list[int]


class ChatConsumer(Watcher, AsyncJsonWebsocketConsumer):
    """``/ws/chat/<pk>/?after=ID``: ID is the last message that stands whole in the page."""

    user: User
    conversation: Conversation
    is_open = False
    stands: list[int]

    async def connect(self) -> None:
        user = await self.sit()
        if user is None:
            return
        visible = Conversation.objects.visible_to(user).select_related("deployment__run")
        found = await visible.filter(pk=self.scope["url_route"]["kwargs"]["pk"]).afirst()
        if found is None:
            await self.close(NOT_FOUND)
            return
        self.user, self.conversation = user, found
        self.stands = await database_sync_to_async(self._before)(self._after())
        self.is_open = True
        self.work(self._follow())

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        if not self.is_open or not isinstance(content, dict):
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
            await self._watch(writing)
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

    async def _watch(self, pk: int) -> None:
        """Send an answer as it grows, until it is over."""
        view = View(self.conversation.pk, pk)
        async with aclosing(watching.drafts(self.conversation, pk)) as drafts:
            async for draft in drafts:
                # In a thread, for templates and Markdown of a long answer take their time.
                await self.send_json(await in_thread(view.frame, draft))

    def _before(self, after: int) -> list[int]:
        """The messages that the browser has, when the last whole one is ``after``."""
        tree = services.tree_of(self.conversation)
        return [message.pk for message in tree.path(after)] if after in tree.messages else []

    def _after(self) -> int:
        after = parse_qs(self.scope["query_string"].decode()).get("after", ["0"])[0]
        return number(after) or 0


def _num_shared(some: list[int], others: list[int]) -> int:
    """How many of both are the same from the start."""
    pairs = zip(some, others, strict=False)
    return next(
        (place for place, (one, other) in enumerate(pairs) if one != other),
        min(len(some), len(others)),
    )
