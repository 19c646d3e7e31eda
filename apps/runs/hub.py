"""Live run events inside one web process: one LISTEN connection, one topic a watched run.

A topic keeps the last rows, rendered, in a ring. Every socket *pulls* from it: it waits until
the head has moved and takes what lies after its own place, so a slow client falls behind alone
and catches up in one frame. What the ring no longer holds is read from the database.

Everything here lives on one event loop. The connections close with the last topic.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from typing import Any

import psycopg
from django.db import connection

from apps.runs.events import CHANNEL

logger = logging.getLogger(__name__)

RING = 5000
PAGE = 500
# Rows of a busy run are gathered this long, so that 500 sockets cost little more than one.
TICK_SECONDS = 0.1
SAFETY_POLL_SECONDS = 5.0
RECONNECT_SECONDS = 1.0

# The database renders the rows: each becomes text once, however many sockets want it.
ROWS = """
select seq, json_build_object('seq', seq, 'kind', kind, 'data', data, 'at', at,
                              'attempt', attempt)::text
from runs_event where run_id = %s and seq > %s order by seq limit %s
"""


class Page:
    """Rendered rows ``after + 1 .. last`` without a gap."""

    def __init__(self, after: int, rows: list[str]) -> None:
        self.after = after
        self.rows = rows
        self.last = after + len(rows)

    def frame(self) -> str:
        """What goes to the browser."""
        rows = ",".join(self.rows)
        return f'{{"from":{self.after + 1},"to":{self.last},"rows":[{rows}]}}'


class Topic:
    """What this process knows of one watched run."""

    def __init__(self, run_id: int, head: int) -> None:
        self.run_id = run_id
        self.head = head
        self.ring: deque[str] = deque(maxlen=RING)
        self.num_sockets = 0
        self.moved = asyncio.Event()
        self.rung = asyncio.Event()
        self.feeder: asyncio.Task[None] | None = None
        self._frames: dict[int, str] = {}

    def push(self, rows: list[str]) -> None:
        self.ring.extend(rows)
        self.head += len(rows)
        self._frames.clear()
        # Whoever waited wakes up; whoever comes next waits on a fresh event.
        moved, self.moved = self.moved, asyncio.Event()
        moved.set()

    def holds(self, after: int) -> bool:
        """Whether every row after ``after`` is still in the ring."""
        return after >= self.head - len(self.ring)

    def frame(self, after: int) -> str:
        """The rows after ``after`` up to the head; sockets at the same place share it."""
        if after not in self._frames:
            num_new = self.head - after
            rows = list(self.ring)[len(self.ring) - num_new :]
            self._frames[after] = Page(after, rows).frame()
        return self._frames[after]


class Hub:
    """The process's ear. ``join`` a run's topic, then ``leave`` it."""

    def __init__(self) -> None:
        self.topics: dict[int, Topic] = {}
        self._listener: asyncio.Task[None] | None = None
        self._reader: psycopg.AsyncConnection[Any] | None = None
        self._lock = asyncio.Lock()
        self._connecting = asyncio.Lock()

    async def join(self, run_id: int) -> Topic:
        """The topic of ``run_id``; its ring holds what comes from now on."""
        async with self._lock:
            if self._listener is None or self._listener.done():
                listening = asyncio.Event()
                self._listener = asyncio.create_task(self._listen(listening))
                await listening.wait()
            topic = self.topics.get(run_id)
            if topic is None:
                topic = self.topics[run_id] = Topic(run_id, await self._head(run_id))
                topic.feeder = asyncio.create_task(self._feed(topic))
            topic.num_sockets += 1
        return topic

    async def leave(self, topic: Topic) -> None:
        """One socket less; the last one of all closes the connections."""
        async with self._lock:
            topic.num_sockets -= 1
            if topic.num_sockets == 0:
                del self.topics[topic.run_id]
                await _cancel(topic.feeder)
            if not self.topics:
                await self._disconnect()

    async def close(self) -> None:
        """Drop every topic and both connections."""
        async with self._lock:
            for topic in self.topics.values():
                await _cancel(topic.feeder)
            self.topics.clear()
            await self._disconnect()
        # A lock stays with the loop it was waited for on; the next use may have another.
        self._lock, self._connecting = asyncio.Lock(), asyncio.Lock()

    async def read(self, run_id: int, after: int, *, limit: int = PAGE) -> Page:
        """Rows after ``after`` from the database."""
        cursor = await (await self._connected()).execute(ROWS, [run_id, after, limit])
        return Page(after, [text for _, text in await cursor.fetchall()])

    async def _head(self, run_id: int) -> int:
        query = "select last_seq from runs_run where id = %s"
        row = await (await (await self._connected()).execute(query, [run_id])).fetchone()
        return 0 if row is None else int(row[0])

    async def _feed(self, topic: Topic) -> None:
        while True:
            try:
                async with asyncio.timeout(SAFETY_POLL_SECONDS):
                    await topic.rung.wait()
            except TimeoutError:
                pass  # a bell may get lost: look once in a while
            topic.rung.clear()
            try:
                await self._pull(topic)
            except (psycopg.Error, OSError) as error:
                logger.warning("reading the events of run %s: %s", topic.run_id, error)
                await asyncio.sleep(RECONNECT_SECONDS)
                topic.rung.set()
            await asyncio.sleep(TICK_SECONDS)

    async def _pull(self, topic: Topic) -> None:
        while page := (await self.read(topic.run_id, topic.head, limit=RING)).rows:
            topic.push(page)

    async def _listen(self, listening: asyncio.Event) -> None:
        while True:
            try:
                async with await _connect() as ear:
                    await ear.execute(f"listen {CHANNEL}")
                    listening.set()
                    # What was said while nobody listened.
                    for topic in self.topics.values():
                        topic.rung.set()
                    async for bell in ear.notifies():
                        topic_or_none = self.topics.get(json.loads(bell.payload)["run"])
                        if topic_or_none is not None:
                            topic_or_none.rung.set()
            except (psycopg.Error, OSError) as error:
                logger.warning("listening for run events: %s; trying again", error)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        async with self._connecting:
            if self._reader is None or self._reader.closed:
                self._reader = await _connect()
            return self._reader

    async def _disconnect(self) -> None:
        await _cancel(self._listener)
        self._listener = None
        if self._reader is not None:
            await self._reader.close()
            self._reader = None


async def _cancel(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _connect() -> psycopg.AsyncConnection[Any]:
    """Straight to the server: LISTEN does not work through a pool."""
    params = connection.get_connection_params()
    # Django's own cursor and type adapters are made for its synchronous connections.
    for name in ("cursor_factory", "context"):
        params.pop(name, None)
    return await psycopg.AsyncConnection.connect(**params, autocommit=True)


hub = Hub()
