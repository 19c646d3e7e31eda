"""Moonshot's flavour of JSON Schema: what the Kimi servers take as a tool's parameters.

What is refused here the server refuses, or quietly leaves out of what it enforces. Source: the
specification and the validator's notes in MoonshotAI/walle (docs/mfjs-spec.md, docs/walle.md);
limits are those of the notes. Paths in the findings are JSON pointers, ``/`` for the root.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

Schema = Mapping[str, Any]

MAX_DEPTH = 5
MAX_PROPERTIES = 100
MAX_ENUM = 500
MAX_ANY_OF = 10
# Of all schemas within one; the checks take time with its square.
MAX_SCHEMAS = 1000

_NOTES = {"description", "title"}
_ROOT = {"$defs", "$id"}
_VALUES = {"enum", "default"}
_KEYWORDS: Mapping[str, set[str]] = {
    "object": {"properties", "required", "additionalProperties", "default"},
    "array": {"items", "minItems", "maxItems", "default"},
    "string": {"minLength", "maxLength", "pattern"} | _VALUES,
    "number": {"minimum", "maximum"} | _VALUES,
    "integer": {"minimum", "maximum"} | _VALUES,
    "boolean": _VALUES,
    "null": _VALUES,
}
_ALL = set().union(*_KEYWORDS.values()) | _NOTES | _ROOT | {"type", "anyOf", "$ref"}
_RESERVED = {"$defs", "$ref", "anyOf", "required", "additionalProperties"}
_RANGES = (("minLength", "maxLength"), ("minItems", "maxItems"), ("minimum", "maximum"))


def findings(schema: Any) -> list[str]:
    """What is wrong with a schema, one sentence each; empty when it is fine."""
    if not isinstance(schema, Mapping):
        return [f"/ must be an object; found {_kind(schema)}"]
    try:
        found = [*_shape(schema, "", is_root=True, is_defined=False)]
    except RecursionError:
        found = [f"/ is nested more than {MAX_DEPTH} deep"]
    if found:
        return found
    return [*_references(schema), *_size(schema)] or [*_recursion(schema)]


def _shape(schema: Any, path: str, *, is_root: bool, is_defined: bool) -> Iterator[str]:
    """What is wrong with a schema and those within it, each looked at alone."""
    here = path or "/"
    if not isinstance(schema, Mapping):
        yield f"{here} must be a schema, that is an object; found {_kind(schema)}"
        return
    if unknown := sorted(set(map(str, schema)) - _ALL):
        yield f"{here} has {', '.join(unknown)}, which the format does not know"
    if misplaced := sorted(_ROOT & set(schema)) if not is_root else []:
        yield f"{here} has {', '.join(misplaced)}, which may stand at the root only"
    for key in (*sorted(_NOTES), "$id"):
        if key in schema and not isinstance(schema[key], str):
            yield f"{here} has a {key} that is no text"
    yield from _form(schema, here, is_root=is_root)
    yield from _children(schema, path, is_defined=is_defined)


def _form(schema: Schema, here: str, *, is_root: bool) -> Iterator[str]:
    """A schema is a reference, a choice, or has a type; whichever it is allows other keywords."""
    beside = set(schema) & _ALL - _NOTES - _ROOT
    if "$ref" in schema or "anyOf" in schema:
        key = "$ref" if "$ref" in schema else "anyOf"
        if others := sorted(beside - {key}):
            yield f"{here} has {', '.join(others)} beside {key}; move them into what it names"
        if key == "anyOf" and not (isinstance(schema[key], list) and schema[key]):
            yield f"{here} has an anyOf that is no list with entries"
        elif key == "anyOf" and len(schema[key]) > MAX_ANY_OF:
            yield f"{here} has more than {MAX_ANY_OF} entries in anyOf"
        elif key == "$ref" and not isinstance(schema[key], str):
            yield f"{here} has a $ref that is no text"
        return
    if "type" in schema:
        yield from _typed(schema, here)
    elif beside or not is_root:
        yield f"{here} has no type"


def _typed(schema: Schema, here: str) -> Iterator[str]:
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not kinds or any(not isinstance(kind, str) or kind not in _KEYWORDS for kind in kinds):
        yield f"{here} has the type {schema['type']!r}; known are {', '.join(_KEYWORDS)}"
        return
    others = set(schema) & _ALL - _NOTES - _ROOT - {"type"}
    if len(kinds) > 1:
        yield from _several(schema, kinds, others, here)
        return
    if wrong := sorted(others - _KEYWORDS[kinds[0]]):
        yield f"{here} has {', '.join(wrong)}, which do not belong to the type {kinds[0]}"
    yield from _values(schema, kinds, here)
    yield from _limits(schema, kinds[0], here)
    if kinds[0] == "object":
        yield from _required(schema, here)


def _several(schema: Schema, kinds: Sequence[str], others: set[str], here: str) -> Iterator[str]:
    """Of several types, an enum may only have one beside null, and nothing else is allowed."""
    if others - {"enum"}:
        yield f"{here} has {', '.join(sorted(others - {'enum'}))} beside several types"
    if "enum" in others:
        first = [kind for kind in kinds if kind not in ("null", "object", "array")]
        if len(kinds) != 2 or len(first) != 1 or "null" not in kinds:
            yield f"{here} has an enum of the types {', '.join(kinds)}; one and null is allowed"
        yield from _values(schema, kinds, here)


def _values(schema: Schema, kinds: Sequence[str], here: str) -> Iterator[str]:
    """Values of an enum, and the default, are of the type."""
    if "default" in schema and not any(_is_of(schema["default"], kind) for kind in kinds):
        yield f"{here} has a default that is no {kinds[0]}: {schema['default']!r}"
    if "enum" not in schema:
        return
    values = schema["enum"]
    if not isinstance(values, list) or not values:
        yield f"{here} has an enum that is no list with entries"
        return
    if len(values) > MAX_ENUM:
        yield f"{here} has more than {MAX_ENUM} entries in its enum"
    for value in values:
        if not any(_is_of(value, kind) for kind in kinds):
            yield f"{here} has {value!r} in its enum, which is no {' or '.join(kinds)}"


def _limits(schema: Schema, kind: str, here: str) -> Iterator[str]:
    is_number = kind == "number"
    for pair in _RANGES:
        for key in pair:
            if key in schema and not _is_of(schema[key], "number" if is_number else "integer"):
                yield f"{here} has a {key} that is no {'number' if is_number else 'integer'}"
            elif key in schema and kind in ("string", "array") and schema[key] < 0:
                yield f"{here} has a {key} below 0"
        low, high = schema.get(pair[0]), schema.get(pair[1])
        if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
            yield f"{here} has a {pair[0]} above its {pair[1]}"


def _required(schema: Schema, here: str) -> Iterator[str]:
    names = schema.get("required", [])
    if not isinstance(names, list):
        yield f"{here} has a required that is no list"
        return
    properties = schema.get("properties", {})
    for name in names:
        if not isinstance(name, str) or not name:
            yield f"{here} requires {name!r}, which is no name"
        elif isinstance(properties, Mapping) and name not in properties:
            yield f"{here} requires {name!r}, which is not among its properties"


def _children(schema: Schema, path: str, *, is_defined: bool) -> Iterator[str]:
    for key in ("properties", "$defs"):
        table = schema.get(key, {})
        if not isinstance(table, Mapping):
            yield f"{path or '/'} has {key} that are no object"
            continue
        is_inner = is_defined or key == "$defs"
        for name, part in table.items():
            yield from _name(key, name, path, is_inner=is_inner)
            yield from _shape(part, f"{path}/{key}/{name}", is_root=False, is_defined=is_inner)
    if "items" in schema:
        yield from _shape(schema["items"], f"{path}/items", is_root=False, is_defined=is_defined)
    more = schema.get("additionalProperties", True)
    # `{}` stands for anything here, and only here and at the root.
    if not isinstance(more, bool) and more != {}:
        inside = f"{path}/additionalProperties"
        yield from _shape(more, inside, is_root=False, is_defined=is_defined)
    parts = schema.get("anyOf", [])
    for place, part in enumerate(parts if isinstance(parts, list) else []):
        yield from _shape(part, f"{path}/anyOf/{place}", is_root=False, is_defined=is_defined)


def _name(key: str, name: str, path: str, *, is_inner: bool) -> Iterator[str]:
    if not name:
        yield f"{path or '/'} has {key} with an empty name"
    if is_inner and "/" in name:
        yield f"{path or '/'} has {key} called {name!r}; under $defs no name has a slash"
    if key == "properties" and name in _RESERVED:
        yield f"{path or '/'} has a property called {name!r}, which is reserved"


def _references(root: Schema) -> Iterator[str]:
    for schema in _walk(root):
        target = schema.get("$ref", "#")
        if target != "#" and not target.startswith("#/$defs/"):
            yield f"the reference {target!r} must be # or begin with #/$defs/"
        elif target_of(root, target) is None:
            yield f"the reference {target!r} leads to no schema"


def target_of(root: Schema, reference: str) -> Schema | None:
    """The schema that a reference names, None when there is none."""
    found: Any = root
    steps = iter(reference.split("/")[1:])
    for step in steps:
        if step in ("$defs", "properties"):
            found = found.get(step, {}).get(next(steps, ""))
        elif step in ("items", "additionalProperties"):
            found = found.get(step)
        else:
            return None
        if not isinstance(found, Mapping):
            return None
    return found  # type: ignore[no-any-return]  # a mapping: every step was one


def _size(root: Schema) -> Iterator[str]:
    schemas = list(_walk(root))
    if len(schemas) > MAX_SCHEMAS:
        yield f"/ holds {len(schemas)} schemas; at most {MAX_SCHEMAS} are allowed"
        return
    num_properties = sum(len(schema.get("properties", {})) for schema in schemas)
    if num_properties > MAX_PROPERTIES:
        yield f"/ has {num_properties} properties in all; at most {MAX_PROPERTIES} are allowed"
    if max(_depth(part, 0) for part in (root, *_defined(root))) > MAX_DEPTH:
        yield f"/ is nested more than {MAX_DEPTH} deep"


def _defined(root: Schema) -> Iterator[Schema]:
    yield from root.get("$defs", {}).values()


def _depth(schema: Schema, depth: int) -> int:
    """How deep objects and arrays lie in each other; stops where it is too deep already."""
    if depth > MAX_DEPTH:
        return depth
    deeper = (_depth(part, depth + 1) for part in _parts(schema))
    level = (_depth(part, depth) for part in schema.get("anyOf", []))
    return max(depth, *deeper, *level, depth)


def _parts(schema: Schema) -> Iterator[Schema]:
    yield from schema.get("properties", {}).values()
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), Mapping):
            yield schema[key]


def _walk(schema: Schema) -> Iterator[Schema]:
    yield schema
    for part in chain(_parts(schema), schema.get("anyOf", []), _defined(schema)):
        yield from _walk(part)


def _recursion(root: Schema) -> Iterator[str]:
    """Whether every value would have to hold another one without end.

    Asked twice: as it is (an array may be empty), and as the server's validator asks, which
    looks into arrays always and is content with one required property that ends.
    """
    if not (_has_end(root, is_server=False) and _has_end(root, is_server=True)):
        yield "/ refers to itself without end; let one way end, for example in null"


def _has_end(root: Schema, *, is_server: bool) -> bool:
    """The least set of schemas with a finite value, grown until it stays; is the root in it?"""
    schemas = list(_walk(root))
    ends: set[int] = set()
    while True:
        found = {id(part) for part in schemas if _ends(part, root, ends, is_server=is_server)}
        if found == ends:
            return id(root) in ends
        ends = found


def _ends(schema: Schema, root: Schema, ends: set[int], *, is_server: bool) -> bool:
    if "$ref" in schema:
        return id(target_of(root, schema["$ref"])) in ends
    if "anyOf" in schema:
        return any(id(part) in ends for part in schema["anyOf"])
    match schema.get("type"):
        case "object" | ["object"] if schema.get("required"):
            within = [id(schema["properties"][name]) in ends for name in schema["required"]]
            return any(within) if is_server else all(within)
        case "array" | ["array"] if "items" in schema:
            may_be_empty = not is_server and not schema.get("minItems")
            return may_be_empty or id(schema["items"]) in ends
    return True


def _is_of(value: Any, kind: str) -> bool:
    check: Callable[[Any], bool] = {
        "string": lambda found: isinstance(found, str),
        "integer": lambda found: isinstance(found, int) and not isinstance(found, bool),
        "number": lambda found: (
            isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found)
        ),
        "boolean": lambda found: isinstance(found, bool),
        "null": lambda found: found is None,
        "array": lambda found: isinstance(found, list),
        "object": lambda found: isinstance(found, Mapping),
    }[kind]
    return check(value)


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__
