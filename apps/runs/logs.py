"""The run's number in every log line that is written while it is worked on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

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
    """Gives every record ``run``: ``"run 42: "``, or nothing outside a run."""

    def filter(self, record: logging.LogRecord) -> bool:
        run_id = _run_id.get()
        record.run = "" if run_id is None else f"run {run_id}: "
        return True
