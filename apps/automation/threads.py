"""Database work of the event loop, in a thread of the pool."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections

T = TypeVar("T")
P = ParamSpec("P")


def _run(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    # A thread of the pool lives on, and its connection must not.
    close_old_connections()
    try:
        return work(*arguments, **named)
    finally:
        close_old_connections()


async def in_thread(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """``work(*arguments, **named)``, away from the loop.

    Not "thread sensitive": many callers at once must not queue for one thread.
    """
    result: T = await sync_to_async(_run, thread_sensitive=False)(work, *arguments, **named)
    return result
