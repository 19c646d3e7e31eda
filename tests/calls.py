"""The calls of the REST API by their document, each with the least that it takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils.http import urlencode

from kosweb.api import api

# What no example of the document says.
BODIES: dict[str, Any] = {
    "evals_add_judge": {"name": "j", "url": "http://localhost", "model": "m"},
    "runs_bulk": {"runs": [1], "action": "archive"},
    "runs_preview": {"kind": "merge", "inputs": {}},
}
PARTS = {"reviews_export": {"kind": "training"}}


class Call(NamedTuple):
    """One operation at an address where something is."""

    name: str
    method: str
    path: str
    query: Mapping[str, Any]
    body: Any
    content_type: str

    def send(self, browser: Client, **headers: str) -> Any:
        address = self.path
        if self.query:
            address += f"?{urlencode(self.query, doseq=True)}"
        if self.content_type.startswith("multipart"):
            file = SimpleUploadedFile("rows.jsonl", b"{}")
            return browser.post(address, {**self.body, "file": file}, headers=headers)
        text = "" if self.body is None else json.dumps(self.body)
        kind = self.content_type or "application/json"
        return browser.generic(self.method.upper(), address, text, kind, headers=headers)


def calls(ids: Mapping[str, int | str]) -> list[Call]:
    """All of them; ``ids`` as ``tests.rest.filled`` gives them."""
    document = api.get_openapi_schema()
    return [
        _call(document, path, method, told, ids)
        for path, methods in document["paths"].items()
        for method, told in methods.items()
    ]


def _call(document: Any, path: str, method: str, told: Any, ids: Mapping[str, int | str]) -> Call:
    given = told.get("requestBody", {}).get("content", {})
    kind = next(iter(given), "")
    body = _least(document, given[kind]["schema"]) if kind else None
    body = BODIES.get(told["operationId"], body)
    query = {
        one["name"]: _least(document, one["schema"])
        for one in told.get("parameters", ())
        if one["in"] == "query" and one.get("required")
    }
    prefix = next((one for one in ids if path.startswith(one)), "")
    names = {**ids, "id": ids.get(prefix, 1), **PARTS.get(told["operationId"], {})}
    full = path
    for one in told.get("parameters", ()):
        if one["in"] == "path":
            full = full.replace(f"{{{one['name']}}}", str(names.get(one["name"], "nobody")))
    return Call(told["operationId"], method, full, query, body, kind)


def _least(document: Any, schema: Any) -> Any:
    """The smallest value that a schema takes, by example where a pattern decides."""
    if "$ref" in schema:
        return _least(document, document["components"]["schemas"][schema["$ref"].split("/")[-1]])
    if "const" in schema or schema.get("enum"):
        return schema.get("const", next(iter(schema.get("enum", [None]))))
    if schema.get("examples"):
        return schema["examples"][0]
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return _least(document, schema[several][0])
    match schema.get("type"):
        case "object":
            inner = schema.get("properties", {})
            return {name: _least(document, inner[name]) for name in schema.get("required", ())}
        case "array":
            # A list without a bound is none in an address: one of it says that it is there.
            return [_least(document, schema["items"])] * schema.get("minItems", 1)
        case "integer" | "number":
            return schema.get("minimum", schema.get("exclusiveMinimum", 0))
        case "boolean":
            return False
        case "string" if "pattern" in schema:
            return "nobody"
        case "string" if schema.get("format") == "date-time":
            return "2026-01-01T00:00:00Z"
        case "string":
            return "x" * max(1, schema.get("minLength", 1))
    return {}
