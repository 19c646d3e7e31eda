"""What every socket does: it counts among the watchers, and lets go of all however it ends.

Codes of its end, which the pages' scripts know:

==== ==============================================================================
1013 try again: the database is away, or all seats are taken (the reason says so)
4401 nobody is signed in
4403 this is not for the person (4404: there is no such thing)
4429 this person's seats are taken; the reason says so
==== ==============================================================================
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

import psycopg
from channels.auth import AuthMiddleware, get_user
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError

from apps.accounts.models import User
from apps.automation.seats import WATCHERS, FullError
from apps.automation.threads import in_thread

TRY_AGAIN = 1013
NOT_SIGNED_IN = 4401
NOT_ALLOWED = 4403
NOT_FOUND = 4404
TOO_MANY = 4429


class SignedIn(AuthMiddleware):
    """Channels' own, in the threads of the pool: sockets that come together queue for one there."""

    async def resolve_scope(self, scope: Any) -> None:
        find = get_user.func  # type: ignore[attr-defined]  # what Channels sends to its one thread
        scope["user"]._wrapped = await in_thread(find, scope)


class Watcher(AsyncWebsocketConsumer):
    """``held`` is closed when the socket ends: politely, broken off, or by a fault of ours."""

    held: AsyncExitStack

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async with AsyncExitStack() as self.held:
            await super().__call__(scope, receive, send)

    async def websocket_connect(self, message: Any) -> None:
        """As Channels does; a browser comes back to a database that goes meanwhile."""
        try:
            await super().websocket_connect(message)
        except (DatabaseError, psycopg.Error):
            await self.close(TRY_AGAIN)

    async def sit(self) -> User | None:
        """Accept the socket and take a seat; None when it was refused, and is closed."""
        user = self.scope.get("user")
        try:
            if isinstance(user, User):
                self.held.enter_context(WATCHERS.taken(user.pk))
        except FullError as error:
            await self._refuse(TOO_MANY if error.is_own else TRY_AGAIN, str(error))
            return None
        if not isinstance(user, User):
            await self._refuse(NOT_SIGNED_IN)
            return None
        await self.accept()
        return user

    def work(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Do this beside reading, until the socket ends."""
        task = asyncio.create_task(coroutine)
        self.held.push_async_callback(_end, task)

    async def _refuse(self, code: int, reason: str | None = None) -> None:
        # A browser sees the reason of a refusal only on an open socket.
        await self.accept()
        await self.close(code, reason)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
