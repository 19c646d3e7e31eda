"""The socket of a run's page: all events after the one it saw last, then live ones."""

from __future__ import annotations

from urllib.parse import parse_qs

import psycopg

from apps.accounts.numerals import number
from apps.automation.sockets import NOT_ALLOWED, TRY_AGAIN, Watcher
from apps.automation.threads import in_thread
from apps.runs.hub import Topic, hub
from apps.runs.models import Run


class RunConsumer(Watcher):
    """``/ws/runs/<pk>/?after=SEQ`` sends ``{"from", "to", "rows": [{seq, kind, ...}]}``.

    It takes from the run's topic as fast as the browser reads: one that is slow falls behind
    alone, and catches up in frames of bounded size.
    """

    async def connect(self) -> None:
        user = await self.sit()
        if user is None:
            return
        run_id = self.scope["url_route"]["kwargs"]["pk"]
        if not await in_thread(Run.objects.visible_to(user).filter(pk=run_id).exists):
            await self.close(NOT_ALLOWED)
            return
        after = self._after()
        topic = await hub.join(run_id, after)
        self.held.push_async_callback(hub.leave, topic)
        self.work(self._send_all(topic, after))

    async def _send_all(self, topic: Topic, seen: int) -> None:
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
            page = topic.page(seen)
            await self.send(page.frame())
            return page.last
        await moved.wait()
        return seen

    def _after(self) -> int:
        query = parse_qs(self.scope["query_string"].decode())
        after = query.get("after", ["0"])[0]
        return number(after) or 0
