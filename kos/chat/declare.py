"""Tools as the TypeScript that Kimi K2.5 was trained on, or as compact JSON.

The official renderer falls back to JSON, without a word, on a schema it cannot express: the
model then reads declarations it never saw in training. This one raises instead. What both can
express is equal to the byte, with the official one's oddities: Python's ``True`` and ``None``
in enums, unescaped quotes, keywords it leaves out. ``kos.chat.lint`` reports those.

Source: harness.md's rules, checked against the renderer in MoonshotAI/Kimi-Vendor-Verifier.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kos.errors import UserError

Schema = Mapping[str, Any]

_HEAD = "# Tools\n\n## functions\nnamespace functions {\n"
_TAIL = "\n}\n"
_INDENT = "  "
_DEFS = "#/$defs/"
# The types a bare name in a list stands for; any other name stands for itself.
_BARE = {"object": "{}", "array": "Array<any>", "integer": "number"}
_CONSTRAINTS = {
    "string": ("maxLength", "minLength", "pattern"),
    "number": ("maximum", "minimum"),
    "integer": ("maximum", "minimum"),
    "array": ("maxItems", "minItems"),
}


class DeclarationError(UserError):
    """A tool cannot be declared; the sentence names the place in its schema."""


def declare_typescript(tools: Sequence[Schema]) -> str:
    """The body of Kimi's ``tool_declare`` turn. ``tools`` are OpenAI declarations, order kept.

    Raises ``DeclarationError`` for what has no TypeScript form here: oneOf, allOf, const, a
    property without a type, references that are not to ``#`` or ``#/$defs/NAME``, and values of
    an enum that are not of its type.
    """
    if not tools:
        return ""
    return _HEAD + "\n".join(_function(function_of(tool)) for tool in tools) + _TAIL


def declare_json(tools: Sequence[Schema]) -> str:
    """The same declarations as compact JSON with sorted keys, as Kimi's template writes them."""
    return json.dumps(
        [sort_keys(tool) for tool in tools], ensure_ascii=False, separators=(",", ":")
    )


def function_of(tool: Any) -> Schema:
    """The ``function`` of an OpenAI declaration; raises ``DeclarationError`` without one."""
    function = tool.get("function") if isinstance(tool, Mapping) else None
    if (
        not isinstance(function, Mapping)
        or tool.get("type") != "function"
        or not isinstance(function.get("name"), str)
    ):
        raise DeclarationError(
            "A tool is an object with `type: function` and a `function` that has a name; "
            f"found {_short(tool)}."
        )
    return function


def sort_keys(value: Any) -> Any:
    """``value`` with every dictionary sorted by key, lists as they are."""
    if isinstance(value, Mapping):
        return {key: sort_keys(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [sort_keys(item) for item in value]
    return value


@dataclass
class _Scope:
    """One function's parameters: the interfaces they name, and where we are in them."""

    name: str
    root: Schema
    # The names of the tool's own parameters, as they were declared.
    order: list[str] = field(default_factory=list)
    interfaces: dict[str, Any] = field(default_factory=dict)
    is_recursive: bool = False

    def name_interfaces(self, definitions: Schema, path: str) -> None:
        """Take in $defs; two of one name would leave one of them without a type."""
        for name, schema in definitions.items():
            if self.interfaces.setdefault(name, schema) != schema:
                raise self.error(path, f"defines {name!r} again under $defs, and differently.")

    def error(self, path: str, sentence: str) -> DeclarationError:
        """What is wrong at ``path``."""
        return DeclarationError(f"{self.name}: {path or 'parameters'} {sentence}")


def _function(function: Schema) -> str:
    declared = function.get("parameters") or {}
    function = sort_keys(function)
    parameters = function.get("parameters") or {}
    scope = _Scope(function["name"], parameters)
    if not isinstance(parameters, Mapping):
        raise scope.error("", "must be an object.")
    scope.order = [*_part(declared, "properties", dict, scope, "")]
    body = _object(parameters, scope, "", "")
    if scope.is_recursive:
        body = "parameters"
    lines = [*_interfaces(scope), *_comment(function.get("description"), scope, "", "")]
    return "\n".join([*lines, f"type {function['name']} = (_: {body}) => any;"])


def _interfaces(scope: _Scope) -> Iterator[str]:
    if scope.is_recursive:
        yield f"interface parameters {_object(scope.root, scope, '', '', is_interface=True)}"
    for name, schema in [*scope.interfaces.items()]:
        if not isinstance(schema, Mapping):
            raise scope.error(_DEFS + name, f"is no schema: {_short(schema)}.")
        yield from _comment(schema.get("description"), scope, "", _DEFS + name)
        yield f"interface {name} {_type(schema, scope, '', _DEFS + name)}"


def _object(
    schema: Schema, scope: _Scope, indent: str, path: str, *, is_interface: bool = False
) -> str:
    """An object's type. The interface of a recursive tool has its properties in the order of
    their declaration, and no word on further ones: so the official renderer has it.
    """
    inner = indent + _INDENT
    required = _part(schema, "required", list, scope, path)
    properties = list(_part(schema, "properties", dict, scope, path).items())
    scope.name_interfaces(_part(schema, "$defs", dict, scope, path), path)
    if is_interface:
        properties.sort(key=lambda item: scope.order.index(item[0]))
    else:
        properties.sort(key=lambda item: item[0] not in required)
    members = [
        _property(name, value, scope, inner, path, is_required=name in required)
        for name, value in properties
    ]
    more = schema.get("additionalProperties")
    if more is not None and not is_interface:
        kind = "any" if more is True else "never" if more is False else None
        members.append(f"{inner}[k: string]: {kind or _type(more, scope, inner, path + '.*')}")
    return "{\n" + ",\n".join(members) + f"\n{indent}}}" if members else "{}"


def _part(schema: Schema, key: str, kind: type, scope: _Scope, path: str) -> Any:
    """``schema[key]``, empty where it is absent; raises where it is something else."""
    part = schema.get(key)
    if part is None:
        return kind()
    if not isinstance(part, kind):
        raise scope.error(path, f"has a {key} that is no {kind.__name__}: {_short(part)}.")
    return part


def _property(
    name: str, schema: Any, scope: _Scope, indent: str, path: str, *, is_required: bool
) -> str:
    path = f"{path}.{name}" if path else name
    mark = "" if is_required else "?"
    lines = [*_comments(schema, scope, indent, path), *_default(schema, indent)]
    return "\n".join([*lines, f"{indent}{name}{mark}: {_type(schema, scope, indent, path)}"])


def _comments(schema: Any, scope: _Scope, indent: str, path: str) -> list[str]:
    """Description and constraints as ``//`` lines."""
    if not isinstance(schema, Mapping):
        return []
    lines = _comment(schema.get("description"), scope, indent, path)
    if limits := _constraints(schema):
        lines.append(f"{indent}// {limits}")
    return lines


def _default(schema: Any, indent: str) -> list[str]:
    default = schema.get("default") if isinstance(schema, Mapping) else None
    if default is None:
        return []
    is_number = isinstance(default, int | float)
    text = repr(default) if is_number else json.dumps(default, ensure_ascii=False)
    return [f"{indent}// Default: {text}"]


def _comment(description: Any, scope: _Scope, indent: str, path: str) -> list[str]:
    if description is None or description == "":
        return []
    if not isinstance(description, str):
        raise scope.error(path, f"has a description that is no text ({_short(description)}).")
    return [f"{indent}// {line}" if line else "" for line in description.split("\n")]


def _constraints(schema: Schema) -> str:
    kind = schema.get("type")
    if not isinstance(kind, str) or "enum" in schema or "anyOf" in schema or "$ref" in schema:
        return ""
    known = _CONSTRAINTS.get(kind, ())
    return ", ".join(f"{key}: {schema[key]}" for key in known if key in schema)


def _type(schema: Any, scope: _Scope, indent: str, path: str) -> str:
    """The TypeScript of a schema; raises ``DeclarationError`` where there is none."""
    if isinstance(schema, bool) or schema == {}:
        return "null" if schema is False else "any"
    if not isinstance(schema, Mapping):
        raise scope.error(path, f"is no schema: {_short(schema)}.")
    if "$ref" in schema:
        return _reference(schema["$ref"], scope, path)
    if "anyOf" in schema:
        parts = _part(schema, "anyOf", list, scope, path)
        return " | ".join(_type(part, scope, indent, path) for part in parts)
    if "enum" in schema:
        return _enum(schema, scope, path)
    match schema.get("type"):
        case "object":
            return _object(schema, scope, indent, path)
        case "array":
            return _array(schema, scope, indent, path)
        case str(name):
            return "number" if name == "integer" else name
        case list(names):
            return " | ".join(_BARE.get(name, name) for name in map(str, names))
    raise scope.error(path, f"needs a type, anyOf, enum or $ref; found {_short(schema)}.")


def _array(schema: Schema, scope: _Scope, indent: str, path: str) -> str:
    items = schema.get("items") or {}
    comments = _comments(items, scope, indent + _INDENT, path + "[]")
    if not comments:
        return f"Array<{_type(items, scope, indent, path + '[]')}>"
    inner = _type(items, scope, indent + _INDENT, path + "[]")
    return "\n".join(["Array<", *comments, f"{indent}{_INDENT}{inner}", f"{indent}>"])


def _enum(schema: Schema, scope: _Scope, path: str) -> str:
    kind = schema.get("type")
    values = _part(schema, "enum", list, scope, path)
    if isinstance(kind, list):
        kinds = [name for name in kind if name != "null"] if kind != ["null"] else kind
        if len(kinds) != 1:
            raise scope.error(path, f"has an enum of several types ({_short(kind)}).")
        kind = kinds[0]
    for value in values:
        if not _is_of(value, kind):
            raise scope.error(path, f"is a {kind}, but its enum has {_short(value)}.")
    return " | ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in values)


def _is_of(value: Any, kind: Any) -> bool:
    """Whether an enum's value fits its type, as far as the official renderer looks."""
    known = {"string": str, "integer": int, "number": int | float, "boolean": bool}
    return value is None or kind not in known or isinstance(value, known[kind])


def _reference(target: Any, scope: _Scope, path: str) -> str:
    if target == "#":
        scope.is_recursive = True
        return "parameters"
    name = target.removeprefix(_DEFS) if isinstance(target, str) else ""
    if not isinstance(target, str) or not target.startswith(_DEFS):
        raise scope.error(path, f"refers to {target!r}; only `#` and `{_DEFS}NAME` can be read.")
    if name not in scope.interfaces:
        raise scope.error(path, f"refers to {target!r}, which is not among its $defs.")
    return name


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:120]


def main(arguments: Sequence[str]) -> int:
    """Print the declarations of a file: a JSON list of OpenAI tools."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m kos.chat.declare TOOLS.json\n")
        return 2
    try:
        tools = json.loads(Path(arguments[0]).read_text())
        if not isinstance(tools, list):
            raise DeclarationError("The file must hold a JSON list of tools.")
        sys.stdout.write(declare_typescript(tools))
    except (UserError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
