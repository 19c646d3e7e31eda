"""The request that is being answered, for whoever writes down who did something."""

from __future__ import annotations

from contextvars import ContextVar

from django.http import HttpRequest

# Empty in a worker or a command.
current_id: ContextVar[str] = ContextVar("request_id", default="")
current: ContextVar[HttpRequest | None] = ContextVar("request", default=None)
