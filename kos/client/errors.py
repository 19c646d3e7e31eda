"""What goes wrong between a program and Kos, as exceptions that say it in a sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import httpx


class KosError(Exception):
    """Kos refused a call, or could not be asked (``status`` 0).

    ``detail`` is the sentence for people; ``errors`` names the fields at fault, each with
    ``loc`` and ``msg``; ``request_id`` finds the call in Kos's own log.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str = "",
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        request_id: str = "",
    ) -> None:
        # All of it: exceptions cross processes, and pickle calls the class with ``args``.
        super().__init__(status, title, detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.errors = tuple(errors)
        self.request_id = request_id

    def __str__(self) -> str:
        faults = "; ".join(_fault(one) for one in self.errors)
        sentence = ": ".join(part for part in (self.detail, faults) if part) or self.title
        return f"{sentence} ({self.status})" if self.status else sentence


class UnreachableError(KosError):
    """No answer came: the address is wrong, or Kos is not running there."""

    def __init__(self, title: str, detail: str = "") -> None:
        super().__init__(0, title, detail)
        self.args = (title, detail)


class DamagedError(KosError):
    """What was downloaded is not what Kos keeps: its SHA-256 differs."""

    def __init__(self, title: str, detail: str = "") -> None:
        super().__init__(0, title, detail)
        self.args = (title, detail)


def of_response(response: httpx.Response) -> KosError:
    """The error that a refused call stands for. The body must have been read."""
    try:
        body = json.loads(response.content)
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    # The endpoint at /v1 says errors as OpenAI does.
    inner = body.get("error")
    detail = body.get("detail") or (inner.get("message") if isinstance(inner, dict) else "")
    request_id = response.headers.get("X-Request-ID") or body.get("request_id", "")
    return KosError(
        response.status_code,
        body.get("title") or _phrase(response.status_code),
        str(detail or ""),
        errors=[one for one in body.get("errors") or () if isinstance(one, dict)],
        request_id=str(request_id),
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"


def _fault(error: Mapping[str, Any]) -> str:
    place = [str(part) for part in error.get("loc") or () if part not in ("body", "query")]
    return ": ".join(part for part in (".".join(place), str(error.get("msg", ""))) if part)
