"""Errors of the REST API as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import pydantic
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from ninja.errors import AuthenticationError, HttpError, ValidationError

from apps.accounts.auth import ScopeError
from apps.accounts.brakes import TooManyTriesError
from apps.automation.guard import TooManyError
from apps.automation.replies import RETRY_SECONDS, InFlightError
from apps.automation.seats import FullError
from kos.errors import UserError
from kosweb.requests import request_id

PROBLEMS: tuple[type[Exception], ...] = (
    ValidationError,
    pydantic.ValidationError,
    AuthenticationError,
    PermissionDenied,
    BadRequest,
    RequestDataTooBig,
    MultiPartParserError,
    Http404,
    HttpError,
    UserError,
)
CONTENT_TYPE = "application/problem+json"
TYPES_AT = "/api/problems/"
# What ``type`` may be, with what a caller can do about it: the pages below TYPES_AT.
KINDS: Mapping[str, str] = {
    "invalid-request": "A part of the call cannot be read or is out of bounds. `errors` names each "
    "place and what would do.",
    "malformed": "The body is no JSON, or no form, that can be read.",
    "unauthenticated": "No token, a wrong one, or one that is over. Make one under API tokens and "
    "send it as `Authorization: Bearer kos_...`.",
    "insufficient-scope": "The token is good, but was made for something else. `detail` names the "
    "scope that is needed; make another token.",
    "forbidden": "Your role does not allow this. `detail` names the one that is needed.",
    "not-found": "There is nothing at this address, or nothing that you may see.",
    "method-not-allowed": "The address is right and the method is not; `Allow` has those that are.",
    "conflict": "The call can be read, and what it asks for cannot be done as things are. `detail` "
    "says what was found and what would do.",
    "in-flight": "A call with the same Idempotency-Key is being worked on. Ask again after "
    "`Retry-After` seconds.",
    "changed-meanwhile": "`If-Match` names another state than the present one: read it again.",
    "too-large": "The body is larger than this call takes.",
    "rate-limited": "Too many requests. Wait `Retry-After` seconds; `RateLimit` says how many are "
    "left.",
    "internal": "A fault of Kos. Its log has more under the `request_id`.",
    "busy": "This process has as much to do as it may. Try again after `Retry-After` seconds.",
    "not-ready": "Kos has started, and its database does not answer yet.",
}
BY_STATUS: Mapping[int, str] = {
    400: "malformed",
    401: "unauthenticated",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    409: "conflict",
    412: "changed-meanwhile",
    413: "too-large",
    422: "invalid-request",
    429: "rate-limited",
    500: "internal",
    503: "not-ready",
}


def problem(
    status: int,
    detail: str = "",
    errors: list[dict[str, Any]] | None = None,
    *,
    kind: str = "",
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """A reply that says what went wrong; ``kind`` is one of KINDS, by default the status's."""
    kind = kind or BY_STATUS.get(status, "")
    body: dict[str, Any] = {
        "type": f"{TYPES_AT}{kind}" if kind else "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
    }
    if detail:
        body["detail"] = detail
    if errors:
        body["errors"] = errors
    if told := request_id():
        body["request_id"] = told
    return HttpResponse(
        json.dumps(body, default=str), status=status, content_type=CONTENT_TYPE, headers=headers
    )


def answer(request: HttpRequest, error: Any) -> HttpResponse:
    """The problem that ``error``, one of PROBLEMS, stands for."""
    match error:
        case ValidationError():
            # ``ctx`` may hold exceptions, which JSON cannot.
            return problem(422, errors=[_place(one) for one in error.errors])
        case pydantic.ValidationError():
            return problem(422, errors=json.loads(error.json(include_url=False)))
        case AuthenticationError():
            told = {"WWW-Authenticate": 'Bearer realm="kos"'}
            return problem(401, "sign in, or send a token that is not over", headers=told)
        case ScopeError():
            told = {
                "WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{error.needed}"'
            }
            return problem(403, str(error), kind="insufficient-scope", headers=told)
        case TooManyError():
            told = {**error.verdict.headers, "Retry-After": str(error.verdict.retry_seconds)}
            return problem(429, str(error), headers=told)
        case FullError():
            told = {"Retry-After": str(error.retry_seconds)}
            kind = "" if error.is_own else "busy"
            return problem(error.status, str(error), kind=kind, headers=told)
        case TooManyTriesError():
            return problem(429, str(error), headers={"Retry-After": str(error.wait_seconds)})
        case InFlightError():
            told = {"Retry-After": str(RETRY_SECONDS)}
            return problem(409, str(error), kind="in-flight", headers=told)
        case PermissionDenied():
            return problem(403, str(error))
        case RequestDataTooBig():
            return problem(413)
        case BadRequest() | MultiPartParserError():
            return problem(400, str(error))
        case Http404():
            return problem(404)
        case HttpError():
            return problem(error.status_code, str(error))
    return problem(409, str(error))


def _place(one: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in one.items() if key not in ("ctx", "input", "url")}
