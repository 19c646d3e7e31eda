"""Work on a stream with so many pieces in the making at a time, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def in_flight(
    items: AsyncIterator[T], work: Callable[[T], Awaitable[R]], limit: int
) -> AsyncIterator[R]:
    """``work`` on every item, ``limit`` of them at a time; results as they come.

    The source is asked for an item only when there is room for it. Every item gives one result;
    the first error ends the stream and cancels what is in the making.
    """
    working: set[asyncio.Task[Any]] = set()
    source: asyncio.Task[Any] | None = asyncio.create_task(_next(items))
    try:
        while source is not None or working:
            is_full = len(working) >= limit
            waited = working | ({source} if source is not None and not is_full else set())
            done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if source is not None and source in done:
                done.discard(source)
                item: Any = source.result()
                source = None if item is _END else asyncio.create_task(_next(items))
                if item is not _END:
                    working.add(asyncio.ensure_future(work(item)))
            working -= done
            for task in done:
                yield task.result()
    finally:
        left = [*working, *([source] if source is not None else [])]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def _next(items: AsyncIterator[Any]) -> Any:
    return await anext(items, _END)


_END = object()
