"""The run's number in every log line that is written while it is worked on.

Outside a run, what went wrong carries the id of its request, as the error page shows it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from apps.accounts.requests import current_id

_run_id: ContextVar[int | None] = ContextVar("run_id", default=None)


@contextmanager
def bound_to(run_id: int) -> Iterator[None]:
    """Log lines of this thread or task carry ``run_id`` until the block ends."""
    token = _run_id.set(run_id)
    try:
        yield
    finally:
        _run_id.reset(token)


class RunFilter(logging.Filter):
    """Gives every record ``run``: ``"run 42: "``, ``"request 1a2b: "``, or nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        run_id = _run_id.get()
        request_id = current_id.get() if record.levelno >= logging.WARNING else ""
        asked = f"request {request_id}: " if request_id else ""
        record.run = asked if run_id is None else f"run {run_id}: "
        return True
