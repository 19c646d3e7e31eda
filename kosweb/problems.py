"""Errors of the REST API as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import pydantic
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema

from kos.errors import UserError

PROBLEMS: tuple[type[Exception], ...] = (
    ValidationError,
    pydantic.ValidationError,
    AuthenticationError,
    PermissionDenied,
    Http404,
    HttpError,
    UserError,
)
CONTENT_TYPE = "application/problem+json"
SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}


def problem(
    status: int, detail: str = "", errors: list[dict[str, Any]] | None = None
) -> HttpResponse:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
    }
    if detail:
        body["detail"] = detail
    if errors:
        body["errors"] = errors
    return HttpResponse(json.dumps(body), status=status, content_type=CONTENT_TYPE)


def answer(request: HttpRequest, error: Any) -> HttpResponse:
    """The problem that ``error``, one of PROBLEMS, stands for."""
    match error:
        case ValidationError():
            # ``ctx`` may hold exceptions, which JSON cannot.
            return problem(422, errors=[{**one, "ctx": None} for one in error.errors])
        case pydantic.ValidationError():
            return problem(422, errors=json.loads(error.json(include_url=False)))
        case AuthenticationError():
            return problem(401)
        case PermissionDenied():
            return problem(403, str(error))
        case Http404():
            return problem(404)
        case HttpError():
            return problem(error.status_code, str(error))
    return problem(409, str(error))


class KosAPI(NinjaAPI):
    """The REST API: every error is a problem, and its schema says so."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for kind in PROBLEMS:
            self.add_exception_handler(kind, answer)

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        schema = super().get_openapi_schema(**options)
        schema["components"]["schemas"]["Problem"] = SCHEMA
        for path, operations in schema["paths"].items():
            for method, operation in operations.items():
                for status in _possible_problems(path, method):
                    operation["responses"].setdefault(status, _response(status))
        return schema


def _possible_problems(path: str, method: str) -> list[int]:
    statuses = [401, 403, 422]
    if "{" in path:
        statuses.append(404)
    if method in ("post", "put", "patch"):
        statuses += [400, 409]
    return statuses


def _response(status: int) -> dict[str, Any]:
    reference = {"$ref": "#/components/schemas/Problem"}
    return {
        "description": HTTPStatus(status).phrase,
        "content": {CONTENT_TYPE: {"schema": reference}},
    }
