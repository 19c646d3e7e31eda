"""The same question asked twice at once is asked once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass
class _Flight:
    task: asyncio.Task[Any]
    num_waiting: int = 0


@dataclass
class Flights:
    """What is being asked right now, by key; each event loop for itself."""

    _flights: dict[tuple[int, str], _Flight] = field(default_factory=dict, repr=False)

    async def join(self, key: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of ``work``, shared with everybody who asks for ``key`` meanwhile.

        Somebody who gives up leaves the others their answer; when all have, the work stops.
        """
        place = (id(asyncio.get_running_loop()), key)
        flight = self._flights.get(place)
        if flight is None:
            flight = self._flights[place] = _Flight(asyncio.ensure_future(work()))
        flight.num_waiting += 1
        try:
            shared: Awaitable[T] = asyncio.shield(flight.task)
            return await shared
        finally:
            flight.num_waiting -= 1
            if flight.task.done() or not flight.num_waiting:
                flight.task.cancel()
                if self._flights.get(place) is flight:
                    del self._flights[place]
