"""Whether a tool can be offered to every model: said when it is registered, not in the prompt.

A schema that the TypeScript renderer cannot express would silently change the declarations of
a run; a keyword it leaves out would never be told to the model; one the server does not know
would not be enforced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kos.chat.declare import DeclarationError, declare_typescript, function_of
from kos.chat.mfjs import findings

_FUNCTION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PROPERTY = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def lint(declaration: Mapping[str, Any]) -> list[str]:
    """What speaks against a tool, one sentence each; empty when it is fine.

    ``declaration`` is OpenAI's: ``{"type": "function", "function": {…}}``.
    """
    try:
        function = function_of(declaration)
    except DeclarationError as error:
        return [str(error)]
    parameters = function.get("parameters", {"type": "object"})
    if found := findings(parameters):
        return found
    return [*_names(function["name"], parameters), *_rendering(declaration, parameters)]


def _names(name: str, parameters: Any) -> Iterator[str]:
    if not _FUNCTION.fullmatch(name):
        yield (
            f"the name {name!r} must have 1 to 64 characters of A-Z, a-z, 0-9, _ and -; a colon "
            "or a point would break the ids of its calls"
        )
    for found in sorted(_property_names(parameters)):
        if not _PROPERTY.fullmatch(found):
            yield f"the property {found!r} must be a name such as max_results"


def _property_names(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return set().union(*map(_property_names, schema))
    if not isinstance(schema, Mapping):
        return set()
    tables = [schema.get("properties") or {}, schema.get("$defs") or {}]
    inner = [part for table in tables for part in table.values()]
    inner += [schema.get(key) for key in ("items", "additionalProperties", "anyOf")]
    return set(tables[0]).union(*map(_property_names, inner))


def _texts(schema: Any, key: str) -> set[str]:
    """All texts that stand under ``key`` somewhere."""
    if isinstance(schema, list):
        return set().union(*(_texts(part, key) for part in schema))
    if not isinstance(schema, Mapping):
        return set()
    own = {schema[key]} if isinstance(schema.get(key), str) else set()
    return own.union(*(_texts(part, key) for part in schema.values()))


def _rendering(declaration: Mapping[str, Any], parameters: Mapping[str, Any]) -> Iterator[str]:
    """What TypeScript cannot say, or says wrongly."""
    if parameters.get("type", "object") not in ("object", ["object"]) or set(parameters) & {
        "anyOf",
        "$ref",
    }:
        yield "the parameters must be one object; anything else is declared as taking nothing"
        return
    for pattern in sorted(_texts(parameters, "pattern")):
        try:
            re.compile(pattern)
        except re.error as error:
            yield f"the pattern {pattern!r} is no regular expression ({error})"
    try:
        text = declare_typescript([declaration])
    except DeclarationError as error:
        yield str(error)
        return
    if "#" in _texts(parameters, "$ref") and "interface parameters" not in text:
        yield "a reference to # stands under $defs only, where TypeScript has no name for it"
