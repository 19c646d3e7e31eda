"""The REST API as a document: what ninja writes, and what it cannot know of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

from apps.accounts.models import Scope
from apps.automation import guard, replies
from apps.automation.parsing import StrictParser
from kosweb.problems import CONTENT_TYPE, KINDS, PROBLEMS, TYPES_AT, answer

DESCRIPTION = """\
Everything that the console's pages do.

**Sign in** with `Authorization: Bearer kos_...`; tokens are made under *API tokens* and have \
scopes. **Lists** give `items` and `next`: send `next` back as `cursor` until it is null. \
**Errors** are `application/problem+json`; `type` leads to what can be done. **Repeat safely**: \
with an `Idempotency-Key`, a POST that is sent again gives the first reply \
(`Idempotency-Replayed: true`) and does nothing twice, for 24 hours. **Limits**: `RateLimit` says \
how many requests are left, a 429 has `Retry-After`. Unknown query parameters and unknown fields \
of a body are refused with 422.
"""
TAGS = {
    "runs": "Start, watch, change and organise every kind of job.",
    "models": "What runs kept: bases, adapters, merged and quantised checkpoints, reports.",
    "datasets": "Versions of prompts with their rubrics, imports, exports, drafts.",
    "traces": "Answers with their grades, as runs and people left them.",
    "evals": "Scores, comparisons, overrides and the gate.",
    "reviews": "Queues of answers that people judge.",
    "deployments": "Models that answer, their aliases, and what was used.",
    "chat": "Conversations with a deployment.",
    "tools": "Look-ups that models call, tried by hand.",
    "account": "Who I am, my tokens, what I can find.",
    "webhooks": "Addresses that are told of events.",
    "members": "Accounts, for admins.",
    "audit": "Who did what, for admins.",
    "sessions": "Browsers in which I am signed in.",
    "views": "Lists with their filters under a name.",
}
PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {
            "type": "string",
            "format": "uri-reference",
            "description": f"about:blank, or {TYPES_AT} and one of: {', '.join(KINDS)}.",
        },
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object", "additionalProperties": True}},
        "request_id": {"type": "string"},
    },
    "example": {
        "type": f"{TYPES_AT}conflict",
        "title": "Conflict",
        "status": 409,
        "detail": "run 7 is done; only a failed or stopped run can be resumed",
        "request_id": "5f0c7d1e9b2a4c38",
    },
}
IDEMPOTENCY = {
    "name": replies.HEADER,
    "in": "header",
    "required": False,
    "description": "Makes a repeated call safe: the same key and body give the first reply.",
    "schema": {"type": "string", "pattern": r"^[\x21-\x7e]{1,128}$"},
}
IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The ETag that was read; 412 when somebody changed it meanwhile.",
    "schema": {"type": "string", "pattern": r"^[\x21-\x7e]{1,200}$"},
}


class KosAPI(NinjaAPI):
    """The REST API: every call is guarded, every error is a problem, and its schema says so."""

    def __init__(self, **options: Any) -> None:
        super().__init__(description=DESCRIPTION, parser=StrictParser(), **options)
        self.add_decorator(guard.guarded, mode="view")
        for kind in PROBLEMS:
            self.add_exception_handler(kind, answer)

    def operations(self) -> Iterator[Operation]:
        """Every call there is."""
        for router in self._get_bound_routers():
            for view in router.path_operations.values():
                yield from view.operations

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        schema = super().get_openapi_schema(**options)
        shapes = schema["components"]["schemas"]
        schema["components"]["schemas"] = {
            name: _without_object_defaults(shape) for name, shape in shapes.items()
        } | {"Problem": PROBLEM}
        schema["components"]["securitySchemes"] = {
            "Token": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "kos_...",
                "description": "An API token. Scopes: " + ", ".join(Scope.values),
            }
        }
        schema["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
        scopes = self._scopes()
        schema["paths"] = {
            path.replace("{pk}", "{id}"): {
                method: _completed(path, method, operation, scopes)
                for method, operation in operations.items()
            }
            for path, operations in schema["paths"].items()
        }
        return schema

    def _scopes(self) -> dict[str, str | None]:
        """By operation id, the scope that a token needs; None where nobody has to sign in."""
        return {
            operation.operation_id or "": (
                operation.auth_callbacks[0].scope  # type: ignore[attr-defined]
                if operation.auth_callbacks
                else None
            )
            for operation in self.operations()
        }


def _completed(
    path: str, method: str, operation: dict[str, Any], scopes: dict[str, str | None]
) -> dict[str, Any]:
    scope = scopes.get(operation["operationId"])
    parameters = [_bounded(one) for one in operation["parameters"]]
    if method == "post":
        parameters.append(IDEMPOTENCY)
    if any(str(status) == "412" for status in operation["responses"]):
        parameters.append(IF_MATCH)
    operation["parameters"] = parameters
    if scope is not None:
        needs = f"Needs a token with the scope `{scope}`." if scope else "Any token will do."
        operation["description"] = f"{operation.get('description', '')}\n\n{needs}".strip()
        operation["security"] = [{"Token": [scope] if scope else []}]
    for status in _possible_problems(path, method, is_open=scope is None):
        operation["responses"].setdefault(status, {"description": HTTPStatus(status).phrase})
    operation["responses"] = {
        str(status): _with_problem(int(status), reply)
        for status, reply in sorted(operation["responses"].items(), key=lambda one: int(one[0]))
    }
    return operation


def _bounded(parameter: dict[str, Any]) -> dict[str, Any]:
    # Those of a schema are a list, those of a parameter a table: ninja copies one to the other.
    parameter.pop("examples", None)
    if parameter["in"] != "path":
        return parameter
    name = "id" if parameter["name"] == "pk" else parameter["name"]
    kind = dict(parameter["schema"])
    kind["title"] = re.sub("^Pk$", "Id", kind.get("title", name))
    if kind.get("type") == "integer":
        kind |= {"minimum": 1, "maximum": 2**63 - 1}
    elif kind.get("type") == "string":
        # A slash would be another address.
        kind.setdefault("pattern", r"^[A-Za-z0-9._:-]+$")
    return {**parameter, "name": name, "schema": kind}


def _without_object_defaults(shape: dict[str, Any]) -> dict[str, Any]:
    """Generators of clients know no default that is an object; the shape behind it has its own."""
    properties = {
        name: {key: value for key, value in one.items() if key != "default"}
        if isinstance(one.get("default"), dict) and one["default"]
        else one
        for name, one in shape.get("properties", {}).items()
    }
    return shape | ({"properties": properties} if properties else {})


def _possible_problems(path: str, method: str, *, is_open: bool) -> list[int]:
    statuses = [422, 429] if is_open else [401, 403, 422, 429]
    # A body may name what is not there, too.
    if "{" in path or method != "get":
        statuses.append(404)
    if method != "get":
        statuses += [400, 409]
    return statuses


def _with_problem(status: int, reply: dict[str, Any]) -> dict[str, Any]:
    if status < 400:
        return reply
    reference = {"$ref": "#/components/schemas/Problem"}
    return {**reply, "content": {CONTENT_TYPE: {"schema": reference}}}
