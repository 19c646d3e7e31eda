"""Live run events inside one web process: one LISTEN connection, one topic a watched run.

A topic keeps the last rows, rendered, in a ring. Every socket *pulls* from it: it waits until
the head has moved and takes what lies after its own place, so a slow client falls behind alone
and catches up by frames of at most FRAME_BYTES. What the ring no longer holds is read from the
database. All rings together hold RINGS_BYTES at most: the largest gives first.

Everything here lives on one event loop. The connections close with the last topic.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from django.db import connection

from apps.runs.events import CHANNEL

logger = logging.getLogger(__name__)

RING = 5000
RINGS_BYTES = 64 << 20
PAGE = 500
# One frame at a time waits for each socket. A row alone may be longer (``apps.runs.fitting``).
FRAME_BYTES = 256 << 10
# Frames that sockets at the same place share; one that lags behind alone makes its own.
MOST_FRAMES = 4
# Rows of a busy run are gathered this long, so that 500 sockets cost little more than one.
TICK_SECONDS = 0.1
SAFETY_POLL_SECONDS = 5.0
RECONNECT_SECONDS = 1.0

# The database renders the rows: each becomes text once, however many sockets want it. It sends
# as many as fit into a frame, and one at least.
ROWS = """
with rendered as (
    select seq, json_build_object('seq', seq, 'kind', kind, 'data', data, 'at', at,
                                  'attempt', attempt)::text as text
    from runs_event where run_id = %s and seq > %s order by seq limit %s
), summed as (
    select seq, text, sum(octet_length(text)) over (order by seq) - octet_length(text) as before,
        max(seq) over () as newest
    from rendered
)
select text, newest from summed where before = 0 or before + octet_length(text) <= %s order by seq
"""

STANDING = "select status, last_seq from runs_run where id = %s"
CHANGES = """
select event.id, json_build_object('run', run.id, 'name', run.name, 'kind', run.kind,
    'owner', run.owner_id, 'pipeline', run.pipeline_id, 'seq', event.seq, 'at', event.at,
    'status', event.data->>'status', 'error', event.data->>'error')::text
from runs_event as event join runs_run as run on run.id = event.run_id
where event.id > %(after)s and event.kind = 'status'
    and (%(owner)s::bigint is null or run.owner_id = %(owner)s)
order by event.id limit %(limit)s
"""


class Page:
    """Rendered rows ``after + 1 .. last`` without a gap; ``has_more`` where others were left out."""

    def __init__(self, after: int, rows: list[str], *, has_more: bool = False) -> None:
        self.after = after
        self.rows = rows
        self.last = after + len(rows)
        self.has_more = has_more
        self._frame = ""

    def frame(self) -> str:
        """What goes to the browser."""
        if not self._frame:
            rows = ",".join(self.rows)
            self._frame = f'{{"from":{self.after + 1},"to":{self.last},"rows":[{rows}]}}'
        return self._frame


class Topic:
    """What this process knows of one watched run."""

    def __init__(self, run_id: int, head: int) -> None:
        self.run_id = run_id
        self.head = head
        self.ring: deque[str] = deque()
        self.size_bytes = 0
        self.num_sockets = 0
        self.moved = asyncio.Event()
        self.rung = asyncio.Event()
        self.feeder: asyncio.Task[None] | None = None
        self._pages: dict[int, Page] = {}

    def push(self, rows: list[str]) -> None:
        self.ring.extend(rows)
        self.size_bytes += sum(map(len, rows))
        self.head += len(rows)
        while len(self.ring) > RING:
            self.drop()
        self._pages.clear()
        # Whoever waited wakes up; whoever comes next waits on a fresh event.
        moved, self.moved = self.moved, asyncio.Event()
        moved.set()

    def drop(self) -> None:
        """Forget the oldest row; whoever still wants it reads it from the database."""
        self.size_bytes -= len(self.ring.popleft())

    def holds(self, after: int) -> bool:
        """Whether every row after ``after`` is still in the ring."""
        return after >= self.head - len(self.ring)

    def rows(self, after: int) -> list[str]:
        """The rows after ``after`` up to the head, where the ring holds them."""
        num_new = max(0, self.head - after)
        return list(self.ring)[len(self.ring) - num_new :]

    def page(self, after: int) -> Page:
        """As many of them as fit into a frame; sockets at the same place share it."""
        found = self._pages.get(after)
        if found is None:
            found = Page(after, list(_fitting(self.rows(after))))
            if len(self._pages) < MOST_FRAMES:
                self._pages[after] = found
        return found


class Hub:
    """The process's ear. ``join`` a run's topic, then ``leave`` it."""

    def __init__(self) -> None:
        self.topics: dict[int, Topic] = {}
        self.num_readers = 0
        self._listener: asyncio.Task[None] | None = None
        self._reader: psycopg.AsyncConnection[Any] | None = None
        self._lock = asyncio.Lock()
        self._connecting = asyncio.Lock()

    async def join(self, run_id: int, after: int) -> Topic:
        """The topic of ``run_id``; its ring begins at ``after``, if that is not far behind.

        Whoever comes next has seen about as much, and needs no query of its own.
        """
        async with self._lock:
            if self._listener is None or self._listener.done():
                listening = asyncio.Event()
                self._listener = asyncio.create_task(self._listen(listening))
                await listening.wait()
            topic = self.topics.get(run_id)
            if topic is None:
                last = await self._head(run_id)
                begin = min(last, max(after, last - PAGE))
                topic = self.topics[run_id] = Topic(run_id, begin)
                topic.rung.set()
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
            if not self.topics and not self.num_readers:
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
        given = [run_id, after, limit, FRAME_BYTES]
        cursor = await (await self._connected()).execute(ROWS, given)
        found = await cursor.fetchall()
        is_cut = bool(found) and (len(found) == limit or found[-1][1] > after + len(found))
        return Page(after, [text for text, _ in found], has_more=is_cut)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Inside, the connection stays, though no run is watched."""
        self.num_readers += 1
        try:
            yield
        finally:
            self.num_readers -= 1
            async with self._lock:
                if not self.topics and not self.num_readers:
                    await self._disconnect()

    async def standing(self, run_id: int) -> tuple[str, int]:
        """A run's status and its last sequence number; ("", 0) when there is none."""
        cursor = await (await self._connected()).execute(STANDING, [run_id])
        row = await cursor.fetchone()
        return (str(row[0]), int(row[1])) if row else ("", 0)

    async def newest(self) -> int:
        """The id of the newest event of all."""
        cursor = await (await self._connected()).execute("select max(id) from runs_event")
        row = await cursor.fetchone()
        return int(row[0] or 0) if row else 0

    async def changes(
        self, after: int, owner: int | None, *, limit: int = PAGE
    ) -> list[tuple[int, str]]:
        """Changes of status with an id beyond ``after``, of one owner's runs or of all."""
        given = {"after": after, "owner": owner, "limit": limit}
        cursor = await (await self._connected()).execute(CHANGES, given)
        return [(int(event_id), str(text)) for event_id, text in await cursor.fetchall()]

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
        has_more = True
        while has_more:
            page = await self.read(topic.run_id, topic.head)
            has_more = page.has_more
            if page.rows:
                topic.push(page.rows)
                self._trim()

    def _trim(self) -> None:
        """Take from the largest ring until all of them fit."""
        left = sum(topic.size_bytes for topic in self.topics.values())
        while left > RINGS_BYTES:
            largest = max(self.topics.values(), key=lambda topic: topic.size_bytes)
            before = largest.size_bytes
            # A piece at a time: the search for the largest goes over all of them.
            while largest.ring and largest.size_bytes > before - FRAME_BYTES:
                largest.drop()
            left -= before - largest.size_bytes

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


def _fitting(rows: list[str]) -> Iterator[str]:
    """The first rows, as many as make a frame, and one at least."""
    left = FRAME_BYTES
    for place, row in enumerate(rows):
        left -= len(row)
        if place and left < 0:
            return
        yield row


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
