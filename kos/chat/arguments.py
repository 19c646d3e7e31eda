"""The arguments of a call: read with what repairs lose nothing, and held against the schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

from jsonschema import Draft202012Validator
from jsonschema.exceptions import UnknownType, ValidationError, best_match
from referencing import Registry
from referencing.exceptions import Unresolvable

MAX_DEPTH = 100
NOT_JSON = "arguments are not valid JSON"
_MAX_SENTENCE_CHARS = 400


class Refusal(NamedTuple):
    """Why a call must not be made: fields as in ``ParsedCall``."""

    flag: str
    error: str
    path: str = ""
    hint: str = ""


class Loaded(NamedTuple):
    """Arguments that were read, and whether they had to be mended."""

    args: Any
    is_repaired: bool


def validate(args: Any, schema: Mapping[str, Any]) -> Refusal | None:
    """What is wrong with ``args``: the best of the validator's errors, or None.

    References leave the schema for nowhere: a registry without a retriever fetches nothing.
    """
    validator = Draft202012Validator(schema, registry=Registry())
    try:
        error = best_match(validator.iter_errors(args))
    except (UnknownType, Unresolvable, RecursionError, re.error) as failure:
        return Refusal("schema_invalid", f"the tool's schema cannot be applied ({failure})")
    except OverflowError:
        # A multiple of a fraction is looked for in floats, which an integer may exceed.
        return Refusal("schema_invalid", "a number is too large to be held against the schema")
    if error is None:
        return None
    return Refusal("schema_invalid", _clip(error.message), error.json_path, _clip(_hint(error)))


def _hint(error: ValidationError) -> str:
    """What would be valid at the place of the error."""
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    match error.validator:
        case "required" | "additionalProperties":
            return f"Properties: {', '.join(schema.get('properties') or {}) or 'none'}."
        case "enum":
            return f"Allowed: {json.dumps(schema['enum'], ensure_ascii=False)}."
    return f"Allowed: {error.validator} {json.dumps(error.validator_value, ensure_ascii=False)}."


def _clip(sentence: str) -> str:
    """Validators quote what they refuse, however long it is."""
    if len(sentence) <= _MAX_SENTENCE_CHARS:
        return sentence
    return sentence[:_MAX_SENTENCE_CHARS] + "…"


def load(text: str) -> Loaded:
    """Read JSON, mending what can be mended without a loss. Raises ValueError, RecursionError."""
    text = text.strip()
    if not text:
        return Loaded({}, is_repaired=False)
    for is_repaired, candidate, is_strict in (
        (False, text, True),
        (True, text, False),
        (True, text.removesuffix("}"), False),
    ):
        try:
            value = json.loads(candidate, strict=is_strict, parse_constant=_refuse_constant)
        except ValueError:
            continue
        _check_text(value)
        if isinstance(value, str) and isinstance(inner := _inner(value), dict):
            return Loaded(inner, is_repaired=True)
        return Loaded(value, is_repaired)
    raise ValueError(NOT_JSON)


def _inner(text: str) -> Any:
    """What JSON that was encoded twice says; None when it is only a text."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        return None
    _check_text(value)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _check_text(value: Any) -> None:
    """Raise ValueError for what cannot be kept: half characters, 1e999, or nesting without end."""
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise ValueError(f"nested more than {MAX_DEPTH} deep")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
