"""Why a call brought nothing back, in the one line from which the model can mend it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kos.chat.arguments import validate
from kos.errors import UserError


class CallError(UserError):
    """A call that cannot be made, or failed: ``Error: <kind>: <one line>. <what would do>``."""

    def __init__(self, kind: str, line: str, remedy: str) -> None:
        super().__init__(kind, line, remedy)
        self.kind, self.line, self.remedy = kind, line, remedy

    def __str__(self) -> str:
        line, remedy = (" ".join(text.split()) for text in (self.line, self.remedy))
        return f"Error: {self.kind}: {line.rstrip('.')}. {remedy}"


def unknown_function(name: str, known: Sequence[str]) -> CallError:
    """There is no such tool."""
    names = ", ".join(known) or "none"
    return CallError("unknown_function", f"unknown function {name!r}", f"Valid names: {names}.")


def check_arguments(arguments: Any, schema: Mapping[str, Any]) -> None:
    """Raise the most telling fault of ``arguments``, with its JSON path and what is allowed."""
    if not isinstance(arguments, dict):
        kind = type(arguments).__name__
        raise CallError("args_not_object", f"the arguments are a {kind}", "Write one JSON object.")
    found = validate(arguments, schema)
    if found is not None:
        where = f"{found.path}: " if found.path else ""
        raise CallError(found.flag, f"{where}{found.error}", found.hint)
