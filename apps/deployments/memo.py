"""Answers of the database that hold for a few seconds, so that no burst waits for it.

What is older than ``fresh_seconds`` is still given out, and looked up again meanwhile; what is
older than ``stale_seconds`` is not. Changes made in this process are seen at once.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from apps.automation.threads import in_thread

T = TypeVar("T")

# What is older is dropped when so many are kept; when nothing is, the oldest of all.
MOST = 5_000
# A burst goes first: a look-up in a thread would take the interpreter from it.
REFRESH_SECONDS = 0.2

_memos: list[Memo[Any]] = []


class _Kept(NamedTuple, Generic[T]):
    at: float
    value: T


class Memo(Generic[T]):
    """What a function of one text said. Errors are not kept."""

    def __init__(
        self, load: Callable[[str], T], *, fresh_seconds: float, stale_seconds: float
    ) -> None:
        self._load = load
        self._fresh_seconds = fresh_seconds
        self._stale_seconds = stale_seconds
        self._kept: dict[str, _Kept[T]] = {}
        self._loading: dict[str, asyncio.Task[T]] = {}
        _memos.append(self)

    async def get(self, key: str) -> T:
        """What was said, or is said now; many who ask at once wait for the same look-up."""
        kept = self._kept.get(key)
        age = time.monotonic() - kept.at if kept is not None else float("inf")
        if kept is not None and age < self._fresh_seconds:
            return kept.value
        if kept is not None and age < self._stale_seconds:
            self._start(key, wait_seconds=REFRESH_SECONDS)
            return kept.value
        loading = self._start(key)
        # Shielded: a caller who leaves must not take the answer from the others.
        return await asyncio.shield(loading)

    def forget(self) -> None:
        """Ask again from now on."""
        self._kept.clear()
        self._loading.clear()

    def _start(self, key: str, *, wait_seconds: float = 0.0) -> asyncio.Task[T]:
        loading = self._loading.get(key)
        if loading is None or loading.get_loop() is not asyncio.get_running_loop():
            loading = asyncio.create_task(
                self._fill(key, wait_seconds), context=contextvars.Context()
            )
            # Nobody may be waiting for it: what went wrong is then asked for again.
            loading.add_done_callback(_look_at_error)
            self._loading[key] = loading
        return loading

    async def _fill(self, key: str, wait_seconds: float) -> T:
        mine = asyncio.current_task()
        try:
            await asyncio.sleep(wait_seconds)
            value: T = await in_thread(self._load, key)
        except BaseException:
            self._kept.pop(key, None)
            raise
        finally:
            is_wanted = self._loading.get(key) is mine
            if is_wanted:
                del self._loading[key]
        if is_wanted:
            self._drop_old()
            self._kept[key] = _Kept(time.monotonic(), value)
        return value

    def _drop_old(self) -> None:
        if len(self._kept) >= MOST:
            oldest = time.monotonic() - self._stale_seconds
            self._kept = {key: kept for key, kept in self._kept.items() if kept.at > oldest}
        while len(self._kept) >= MOST:
            del self._kept[next(iter(self._kept))]


def forget_all() -> None:
    """Let all of them ask again: something changed."""
    for memo in _memos:
        memo.forget()


def _look_at_error(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
