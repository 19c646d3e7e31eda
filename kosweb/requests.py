"""Which request is being answered, for problems and logs."""

from __future__ import annotations

from apps.accounts.requests import current_id

API = ("/api/", "/v1/")
__all__ = ["current_id", "is_api", "request_id"]


def request_id() -> str:
    """The id of the request that is being answered; "" outside of one."""
    return current_id.get()


def is_api(path: str) -> bool:
    """Whether programs ask here: their errors are problems, and a slash at the end is nothing."""
    return path.startswith(API)
