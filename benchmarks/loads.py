"""The crowds of ``benchmarks.load``, each in a process of its own: who asks, watches, speaks."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import websockets
from websockets.exceptions import ConnectionClosed

from benchmarks.gateway import ASK, Target, hear

# What of a frame is read: a browser parses it whole, but 500 of them have 500 processors.
FRAME = re.compile(r'\{"from":(\d+),"to":(\d+)')
AT = re.compile(r'"at" ?: ?"([^"]+)"')
GIVE_UP_SECONDS = 60


@dataclass
class Seen:
    """What one crowd met: so many things, their times in seconds, and what went wrong."""

    count: int = 0
    first: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, other: Seen) -> None:
        """The same of another process."""
        self.count += other.count
        self.first += other.first
        self.gaps += other.gaps
        self.errors += other.errors


# --- Streams ----------------------------------------------------------------------------------
class Asking(NamedTuple):
    """Answers of ``tokens`` tokens at ``rate`` a second, asked by ``count`` callers."""

    count: int
    tokens: int
    rate: float
    seconds: float


def stream(targets: Sequence[Target], asking: Asking) -> Seen:
    """Callers who ask again as soon as they are answered."""
    return asyncio.run(_stream(targets, asking))


async def _stream(targets: Sequence[Target], asking: Asking) -> Seen:
    seen, until = Seen(), time.monotonic() + asking.seconds
    body = ASK | {"max_tokens": asking.tokens, "tokens_per_second": asking.rate}

    async def one(place: int) -> None:
        # As people do, they begin apart: within the time of one answer.
        share = random.Random(place).random()  # noqa: S311 (no secret)
        await asyncio.sleep(share * min(asking.tokens / asking.rate, asking.seconds / 4))
        while time.monotonic() < until:
            await _ask(targets[place % len(targets)], body, seen)

    await asyncio.gather(*(one(place) for place in range(asking.count)))
    return seen


async def _ask(target: Target, body: dict[str, Any], seen: Seen) -> None:
    try:
        async with asyncio.timeout(GIVE_UP_SECONDS):
            heard = await hear(target, body)
    except (OSError, TimeoutError) as error:
        seen.errors[type(error).__name__] += 1
        await asyncio.sleep(1)
        return
    if heard.status != 200:
        says_when = b"\r\nretry-after:" in heard.answer.lower()
        seen.errors[f"{heard.status}{' with Retry-After' if says_when else ''}"] += 1
        await asyncio.sleep(1)
        return
    if heard.num_tokens != body["max_tokens"]:
        seen.errors["broken off"] += 1
    seen.count += heard.num_tokens
    times = [at for at, _ in heard.pieces]
    seen.first += times[:1]
    # Tokens that came in one piece came at once.
    for before, (at, count) in zip(times, heard.pieces[1:], strict=False):
        seen.gaps += [at - before] + [0.0] * (count - 1)


# --- Viewers ----------------------------------------------------------------------------------
class Page(NamedTuple):
    """One open page: whose, of which run, and whether it reads slowly."""

    url: str
    cookie: str
    is_slow: bool = False


def watch(pages: Sequence[Page], seconds: float) -> Seen:
    """Open pages; the times are of the oldest row of each frame, which waited longest."""
    return asyncio.run(_watch(pages, seconds))


async def _watch(pages: Sequence[Page], seconds: float) -> Seen:
    seen, until = Seen(), time.monotonic() + seconds
    await asyncio.gather(*(_open(place, page, until, seen) for place, page in enumerate(pages)))
    return seen


async def _open(place: int, page: Page, until: float, seen: Seen) -> None:
    headers = {"Cookie": page.cookie, "Origin": page.url.replace("ws", "http").split("/ws/")[0]}
    await asyncio.sleep(random.Random(place).random() * 3)  # noqa: S311 (no secret)
    try:
        async with websockets.connect(
            page.url, additional_headers=headers, max_size=None, open_timeout=GIVE_UP_SECONDS
        ) as socket:
            if page.is_slow:
                # Beyond what the kernels hold between the two, nothing waits for it.
                socket.transport.pause_reading()
                await asyncio.sleep((until - time.monotonic()) / 2)
                socket.transport.resume_reading()
            await _read(socket, page, until, seen)
    except ConnectionClosed as closed:
        seen.errors[f"closed with {closed.rcvd.code if closed.rcvd else 'nothing'}"] += 1
    except (OSError, TimeoutError) as error:
        seen.errors[type(error).__name__] += 1


async def _read(socket: Any, page: Page, until: float, seen: Seen) -> None:
    expected = None
    while (left := until - time.monotonic()) > 0:
        try:
            text = await asyncio.wait_for(socket.recv(), left)
        except TimeoutError:
            break
        now = time.time()
        first, last = map(int, FRAME.match(text).groups())  # type: ignore[union-attr]
        if expected is not None and first != expected:
            seen.errors["an event is missing"] += 1
        if not page.is_slow and expected is not None:  # the first frame brings what was before
            said = AT.search(text)[1]  # type: ignore[index]
            seen.first.append(now - datetime.fromisoformat(said).timestamp())
        expected = last + 1
        seen.count += last - first + 1
    if expected is None:
        seen.errors["saw nothing"] += 1


# --- Runs -------------------------------------------------------------------------------------
def prepare() -> None:
    """Let Django work in this process."""
    import django

    django.setup()
    from apps.runs import events  # noqa: F401 (seconds, which the first one would take)


def speak(runs: Sequence[int], seconds: float, rate: float, batch: int) -> Seen:
    """Append ``rate`` events a second to these runs together, as their workers' pumps do.

    The times are those of the transactions.
    """
    from django.db import connection

    from apps.runs import events

    seen, began = Seen(), time.monotonic()
    while (spent := time.monotonic() - began) < seconds:
        time.sleep(max(0.0, seen.count / rate - spent))
        said = [events.new("note", text=f"event {seen.count + place}") for place in range(batch)]
        asked = time.perf_counter()
        run = runs[seen.count // batch % len(runs)]
        events.append(run, 1, said, lease_seconds=600)
        seen.first.append(time.perf_counter() - asked)
        seen.count += batch
    connection.close()
    return seen
