"""Every request has an id: in its reply and in every problem. And the API's small courtesies."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator

from django.core.exceptions import BadRequest
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve

from kosweb.problems import CONTENT_TYPE, problem
from kosweb.requests import current_id, is_api

HEADER = "X-Request-ID"
NO_NUL = "what was sent holds the character NUL, which no text can keep: remove it"
_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestIds:
    """Keeps the id that a proxy or caller gave, or makes one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get(HEADER, "")
        told = given if _ID.fullmatch(given) else secrets.token_hex(8)
        current_id.set(told)
        if is_api(request.path_info):
            _mend_slash(request)
        response = self.get_response(request)
        response[HEADER] = told
        return _as_problem(request, response)


def _mend_slash(request: HttpRequest) -> None:
    """``/api/runs`` is ``/api/runs/``, for a POST too, which a redirect would lose."""
    path = request.path_info
    if _leads_somewhere(path):
        return
    other = path.removesuffix("/") if path.endswith("/") else f"{path}/"
    if _leads_somewhere(other):
        request.path_info = other


def _leads_somewhere(path: str) -> bool:
    try:
        resolve(path)
    except Resolver404:
        return False
    return True


def _as_problem(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Refusals that Django or ninja word themselves (405, 404 of a path, 400) as problems."""
    kind = response.headers.get("Content-Type", "")
    is_ours = kind.startswith((CONTENT_TYPE, "application/json"))
    if response.status_code < 400 or is_ours or not is_api(request.path_info):
        return response
    worded = problem(response.status_code)
    for name in ("Allow", "Retry-After", HEADER):
        if name in response.headers:
            worded[name] = response.headers[name]
    return worded


class KeptTexts:
    """Refuses a page's address or form with a NUL in it: PostgreSQL takes none, anywhere.

    The API has a guard of its own, which names the field.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *view: object) -> None:
        # As a view hook: the check against forged forms has read the form by then.
        if not is_api(request.path_info) and any("\0" in text for text in _texts(request)):
            raise BadRequest(NO_NUL)


def _texts(request: HttpRequest) -> Iterator[str]:
    yield request.path_info
    for sent in (request.GET, request.POST):
        for name, values in sent.lists():
            yield name
            yield from values
