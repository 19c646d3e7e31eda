"""Answers that are not there yet, and those that wait to be fetched."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Literal

# What may lie here unfetched. The oldest goes first; who asks for it is told that it is gone.
MAX_BYTES = 256 * 2**20
MAX_ANSWERS = 20_000


@dataclass(frozen=True)
class Json:
    """An answer in JSON."""

    body: dict[str, Any]


@dataclass(frozen=True)
class Proto:
    """An answer in protobuf."""

    body: bytes


@dataclass(frozen=True)
class Failed:
    """Why there is no answer, and whose matter it is."""

    error: str
    category: Literal["user", "server"] = "user"


Answer = Json | Proto | Failed


class Futures:
    """All requests by id. Used in the event loop alone, but for ``settle_soon``."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pending: dict[str, asyncio.Future[Answer]] = {}
        self._settled: OrderedDict[str, Answer] = OrderedDict()
        self._bytes = 0

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._pending or request_id in self._settled

    @property
    def num_pending(self) -> int:
        """Requests without an answer."""
        return len(self._pending)

    def open(self, request_id: str) -> None:
        """A request came in."""
        self._pending[request_id] = self._loop.create_future()

    def settle(self, request_id: str, answer: Answer) -> None:
        """Its answer; nothing happens when nobody waits for it any more."""
        future = self._pending.pop(request_id, None)
        if future is None:
            return
        future.set_result(answer)
        self._settled[request_id] = answer
        self._bytes += _size(answer)
        while self._bytes > MAX_BYTES or len(self._settled) > MAX_ANSWERS:
            _, oldest = self._settled.popitem(last=False)
            self._bytes -= _size(oldest)

    def settle_soon(self, request_id: str, answer: Answer) -> None:
        """The same from the thread of the work; a loop that has closed hears nothing."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.settle, request_id, answer)

    def fail_all_soon(self, error: str) -> None:
        """Settle all that is pending, from the thread of the work."""

        def fail() -> None:
            for request_id in list(self._pending):
                self.settle(request_id, Failed(error, "server"))

        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(fail)

    def drop(self, prefix: str) -> None:
        """Forget what begins with ``prefix``: its session is over."""
        for request_id in [key for key in self._pending if key.startswith(prefix)]:
            self.settle(request_id, Failed("the session is over"))
        for request_id in [key for key in self._settled if key.startswith(prefix)]:
            self._bytes -= _size(self._settled.pop(request_id))

    async def wait(self, request_id: str, seconds: float) -> Answer | None:
        """The answer, or None when it takes longer; KeyError for a request not known."""
        if request_id in self._settled:
            return self._settled[request_id]
        future = self._pending[request_id]
        done, _ = await asyncio.wait([future], timeout=seconds)
        return future.result() if done else None


def _size(answer: Answer) -> int:
    return len(answer.body) if isinstance(answer, Proto) else 200
