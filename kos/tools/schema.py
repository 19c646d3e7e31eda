"""Declarations of tools, and arguments held against them before anything is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kos.chat.arguments import validate
from kos.errors import UserError


def declaration(
    name: str, description: str, properties: Mapping[str, Any], *, required: Sequence[str]
) -> dict[str, Any]:
    """The OpenAI function declaration; no property beyond ``properties`` is taken."""
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "parameters": {
                "type": "object",
                "properties": dict(properties),
                "required": list(required),
                "additionalProperties": False,
            },
        },
    }


def accept(arguments: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with the declared defaults filled in.

    ``UserError`` names the JSON path of what is wrong and what would be allowed there.
    """
    schema = declared["function"]["parameters"]
    wrong = validate(dict(arguments), schema)
    if wrong is not None:
        raise UserError(f"{wrong.flag}: {wrong.path}: {wrong.error}. {wrong.hint}".strip())
    defaults = {
        name: part["default"] for name, part in schema["properties"].items() if "default" in part
    }
    return defaults | dict(arguments)
