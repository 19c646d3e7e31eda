"""The socket of a run's page: all events after the one it saw last, then live ones."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs

import psycopg
from channels.generic.websocket import AsyncWebsocketConsumer

from apps.accounts.models import User
from apps.runs.hub import Topic, hub
from apps.runs.models import Run

TRY_AGAIN = 1013
NOT_SIGNED_IN = 4401
NOT_ALLOWED = 4403


class RunConsumer(AsyncWebsocketConsumer):
    """``/ws/runs/<pk>/?after=SEQ`` sends ``{"from", "to", "rows": [{seq, kind, ...}]}``."""

    topic: Topic | None = None
    sender: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        # A browser sees the reason of a refusal only on an open socket.
        await self.accept()
        run_id = self.scope["url_route"]["kwargs"]["pk"]
        user = self.scope.get("user")
        if not isinstance(user, User):
            await self.close(NOT_SIGNED_IN)
        elif not await Run.objects.visible_to(user).filter(pk=run_id).aexists():
            await self.close(NOT_ALLOWED)
        else:
            self.topic = await hub.join(run_id)
            self.sender = asyncio.create_task(self._send_all(self.topic))

    async def disconnect(self, code: int) -> None:
        if self.sender is not None:
            self.sender.cancel()
            await asyncio.gather(self.sender, return_exceptions=True)
        if self.topic is not None:
            await hub.leave(self.topic)
            self.topic = None

    async def _send_all(self, topic: Topic) -> None:
        seen = self._after()
        try:
            while True:
                seen = await self._send_next(topic, seen)
        except psycopg.Error:
            # The browser comes back and says where it was.
            await self.close(TRY_AGAIN)

    async def _send_next(self, topic: Topic, seen: int) -> int:
        """Send what follows ``seen``, waiting for it if need be; returns the new place."""
        moved = topic.moved
        if not topic.holds(seen):
            page = await hub.read(topic.run_id, seen)
            if page.rows:
                await self.send(page.frame())
                return page.last
        elif topic.head > seen:
            frame, head = topic.frame(seen), topic.head
            await self.send(frame)
            return head
        await moved.wait()
        return seen

    def _after(self) -> int:
        query = parse_qs(self.scope["query_string"].decode())
        after = query.get("after", ["0"])[0]
        return int(after) if after.isdecimal() else 0
