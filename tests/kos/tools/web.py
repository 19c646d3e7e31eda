"""A web that answers from a list, a clock that moves by itself, and a desk on top of both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from kos.tools.base import Provenance, Record
from kos.tools.desk import Desk
from kos.tools.net.wire import Wire

PAYLOADS = Path(__file__).parents[2] / "data" / "payloads"
KEYS = {"brave": "brave-key-1", "tavily": "tavily-key-1", "exa": "exa-key-1"}
OPTIONS = {"searxng_url": "http://searx.local:8080", "email": "kos@example.org"}


def payload(name: str, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, content=(PAYLOADS / name).read_bytes(), headers=headers)


@dataclass
class Clock:
    """Seconds that pass only by sleeping."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Web:
    """Answers from a list in turn, or by a function; an exception is raised."""

    answers: Sequence[httpx.Response | Exception] | Callable[[httpx.Request], httpx.Response]
    asked: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if callable(self.answers):
            return self.answers(request)
        answer = self.answers[len(self.asked) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


def wire_to(web: Web, clock: Clock | None = None) -> Wire:
    clock = clock or Clock()
    return Wire(
        transport=httpx.MockTransport(web), clock=clock, sleep=clock.sleep, random=lambda: 1.0
    )


def desk_on(web: Web, clock: Clock | None = None, **fields: Any) -> Desk:
    fields = {"keys": KEYS, "options": OPTIONS} | fields
    return Desk(wire=wire_to(web, clock), **fields)


def make_record(title: str = "Gout", *, kind: str = "guideline", **fields: Any) -> Record:
    provenance = Provenance(kind, "embedded", data_version="2026-04", licence="MIT")
    fields = {
        "url": f"https://example.org/{title.lower()}",
        "text": f"{title} is treated.",
    } | fields
    return Record(title=title, provenance=provenance, **fields)


@dataclass
class Shelf:
    """A corpus of a few records, found by the words of their titles."""

    records: dict[str, list[Record]] = field(default_factory=dict)

    def search(self, kind: str, query: str, k: int = 5) -> list[Record]:
        kinds = [kind] if kind else list(self.records)
        hits = [record for name in kinds for record in self.records.get(name, ())]
        words = query.lower().split()
        return [hit for hit in hits if any(word in hit.title.lower() for word in words)][:k]

    def find(self, url: str) -> Record | None:
        hits = [record for records in self.records.values() for record in records]
        return next((hit for hit in hits if hit.url == url), None)

    def kinds(self) -> dict[str, int]:
        return {kind: len(records) for kind, records in self.records.items()}


class Stream(httpx.AsyncByteStream):
    """A body that comes in pieces."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece
