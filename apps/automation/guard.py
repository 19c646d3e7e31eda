"""What happens around every call of the REST API, so that no endpoint can forget it.

In this order: who asks, with which scope; how often; whether the query is understood; whether
the same call was made before (``apps.automation.replies``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import pydantic
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.operation import Operation

from apps.accounts.auth import token_in
from apps.accounts.models import User
from apps.automation import replies
from apps.automation.models import KeptReply
from apps.automation.parsing import check_body, check_texts
from apps.automation.rates import Buckets, Verdict
from kos.errors import UserError

REFUSALS = (
    ValidationError,
    pydantic.ValidationError,
    AuthenticationError,
    PermissionDenied,
    BadRequest,
    RequestDataTooBig,
    MultiPartParserError,
    HttpError,
    UserError,
)
BUCKETS = Buckets()
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


class TooManyError(HttpError):
    """The caller's requests of this minute are used up."""

    def __init__(self, whose: str, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__(
            429, f"the requests a minute of {whose} are used up; wait {verdict.retry_seconds} s"
        )


def guarded(run: Callable[..., Any]) -> Callable[..., Any]:
    """``run`` of one ninja operation, with the checks before it and the kept reply after it."""
    operation: Operation = run.__self__  # type: ignore[attr-defined]
    known = query_names(operation)

    @wraps(run)
    def checked(request: HttpRequest, **path: Any) -> HttpResponseBase:
        return _around(operation, known, request, lambda: run(request, **path))

    @wraps(run)
    async def checked_async(request: HttpRequest, **path: Any) -> HttpResponseBase:
        admitted = await sync_to_async(_admit_or_refuse)(operation, known, request)
        response: HttpResponseBase = admitted or await run(request, **path)
        return _with_headers(request, response)

    return checked_async if operation.is_async else checked


def query_names(operation: Operation) -> list[str]:
    """The query parameters that an operation knows."""
    names: list[str] = []
    for model in operation.models:
        if model.__ninja_param_source__ == "query":
            names += getattr(model, "__ninja_flatten_map__", None) or list(model.model_fields)
    return sorted(names)


def _around(
    operation: Operation,
    known: list[str],
    request: HttpRequest,
    act: Callable[[], HttpResponseBase],
) -> HttpResponseBase:
    refusal = _admit_or_refuse(operation, known, request)
    if refusal is not None:
        return _with_headers(request, refusal)
    try:
        row, kept = _begin(request)
    except REFUSALS as error:
        return _with_headers(request, operation.api.on_exception(request, error))
    if kept is not None:
        return _with_headers(request, kept)
    response = None
    try:
        response = act()
    finally:
        if row is not None and response is None:
            row.delete()
    if row is not None:
        replies.finish(row, response)
    return _with_headers(request, response)


def _begin(request: HttpRequest) -> tuple[KeptReply | None, HttpResponseBase | None]:
    if request.method != "POST" or not isinstance(request.user, User):
        return None, None
    return replies.begin(request, request.user)


def _admit_or_refuse(
    operation: Operation, known: list[str], request: HttpRequest
) -> HttpResponseBase | None:
    try:
        _admit(operation, known, request)
    except REFUSALS as error:
        return operation.api.on_exception(request, error)
    return None


def _admit(operation: Operation, known: list[str], request: HttpRequest) -> None:
    if operation.auth_callbacks:
        caller = operation.auth_callbacks[0](request)
        if not caller:
            raise AuthenticationError
        request.caller = caller  # type: ignore[attr-defined]
        _take(request, caller)
    unknown = sorted(set(request.GET) - set(known))
    if unknown:
        raise ValidationError([_unknown(name, known) for name in unknown])
    check_texts([request.path, *(list(values) for _, values in request.GET.lists())], "query")
    if request.content_type in FORMS:
        check_texts([list(values) for _, values in request.POST.lists()], "form")
        files = [file for _, group in request.FILES.lists() for file in group]
        check_texts([file.name or "" for file in files], "file")
    elif request.method != "GET":
        check_body(request)


def _unknown(name: str, known: list[str]) -> dict[str, Any]:
    told = f"there are {', '.join(known)}" if known else "this call takes none"
    sentence = f"there is no such parameter; {told}"
    return {"type": "unknown_parameter", "loc": ("query", name), "msg": sentence}


def _take(request: HttpRequest, user: User) -> None:
    """Count the request for its token and for its person; the tighter one is in the headers."""
    token = token_in(request)
    rates: list[tuple[str, str, int]] = [
        ("this person", f"user:{user.pk}", settings.API_USER_RATE)
    ]
    if token is not None:
        rates.insert(0, ("this token", f"token:{token.pk}", settings.API_TOKEN_RATE))
    for whose, key, size in rates:
        verdict = BUCKETS.take(key, size)
        if key == rates[0][1] or not verdict.is_allowed:
            request.rate_headers = verdict.headers  # type: ignore[attr-defined]
        if not verdict.is_allowed:
            raise TooManyError(whose, verdict)


def _with_headers(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    headers: Mapping[str, str] = getattr(request, "rate_headers", {})
    for name, value in headers.items():
        response[name] = value
    return response
