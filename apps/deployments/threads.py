"""Database work of the event loop, in a thread of the pool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections

T = TypeVar("T")


def _run(work: Callable[..., T], *arguments: Any) -> T:
    # A thread of the pool lives on, and its connection must not.
    close_old_connections()
    try:
        return work(*arguments)
    finally:
        close_old_connections()


async def in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """``work(*arguments)``, away from the loop.

    Not "thread sensitive": many callers at once must not queue for one thread.
    """
    result: T = await sync_to_async(_run, thread_sensitive=False)(work, *arguments)
    return result
