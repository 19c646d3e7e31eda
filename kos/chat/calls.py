"""From the text of a call to a call that can be made, or to the sentence that says why not.

What can be mended without a loss is mended (raw control characters, JSON encoded twice, one
brace too many, an id without its prefix); nothing is guessed. Ids are Kimi's: the index counts
over the whole conversation, ``functions.search_icd:3``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kos.chat.arguments import NOT_JSON, Refusal, load, validate

MAX_CALLS = 32
MAX_ARGUMENT_BYTES = 64 * 1024

CUT_OFF = "call was cut off before its arguments"

_ID = re.compile(r"(?:functions\.)?(.+):(\d+)", re.DOTALL)
_PREFIX = "functions."
# What other APIs call their calls: call_6b0e7c24, toolu_01A, chatcmpl-tool-9f, a bare counter.
_FOREIGN_ID = re.compile(r"(?:chatcmpl-)?(?:call|toolu|tool-)[-_]?[0-9a-z-]*|[0-9a-f-]*", re.I)
_MAX_ID_CHARS = 256


@dataclass(frozen=True)
class ParsedCall:
    """A call as it was read.

    ``arguments`` is the text as the model wrote it, ``args`` what it says (None when nothing
    could be read), ``error`` why the call must not be made. ``reason`` is the error's kind (a
    flag, or ""), ``path`` the JSON path it is about, ``hint`` what would be valid.
    """

    id: str
    name: str
    arguments: str
    args: Any
    error: str | None
    reason: str = ""
    path: str = ""
    hint: str = ""

    @property
    def observation(self) -> str:
        """What the model shall read in the place of a result; empty for a call to be made."""
        if self.error is None:
            return ""
        where = f"{self.path}: " if self.path else ""
        hint = f" {self.hint}" if self.hint else ""
        return f"Error: {self.reason}: {where}{self.error}.{hint}"


@dataclass
class CallReader:
    """Reads the calls of one turn, in order. ``schemas`` has the parameters of each tool.

    ``used`` are the ids of earlier turns: the next free index lies above theirs. ``flags``
    grows in the order in which things are found.
    """

    schemas: Mapping[str, Mapping[str, Any]]
    used: Collection[str] = ()
    flags: dict[str, None] = field(default_factory=dict)
    calls: list[ParsedCall] = field(default_factory=list)
    _ids: set[str] = field(default_factory=set)
    _next: int = 0

    def __post_init__(self) -> None:
        """Number on from the earlier turns."""
        self._ids = set(self.used)
        # Ids of other forms count too: a prompt numbers them from 0.
        self._next = len(self._ids)
        for used in self.used:
            self._count(used)

    def read(self, header: str, arguments: str, *, is_cut: bool = False) -> None:
        """Add the call ``header`` (an id) with its arguments; ``is_cut`` says do not make it."""
        header = header.strip()
        name, index = self._name(header)
        args, reason = self._arguments(arguments)
        if not name:
            name = self._infer(args)
            reason = reason or self._unknown(header, name)
        elif name not in self.schemas:
            reason = self._refuse_name(name)
        self._add(name, index, arguments, args, reason, is_cut=is_cut)

    def read_object(self, text: str, *, is_cut: bool = False) -> None:
        """Add the calls of a JSON text: ``{"name": …, "arguments": {…}}``, or a list of such."""
        found, reason = self._arguments(text, is_object=False)
        for part in found if isinstance(found, list) and found else [found]:
            self._read_part(part, text, reason, is_cut=is_cut)

    def read_nothing(self) -> None:
        """Add the call that was cut off before its arguments."""
        self._add("", None, "", None, Refusal("unclosed_call", CUT_OFF), is_cut=True)

    def _read_part(self, part: Any, text: str, reason: Refusal | None, *, is_cut: bool) -> None:
        name = part.get("name") if isinstance(part, dict) else None
        if reason is not None or not isinstance(name, str) or not name:
            if reason is None:
                self.flags["name_unknown"] = None
                reason = Refusal("name_unknown", "the call has no name", hint=self._names())
            self._add("", None, text, None, reason, is_cut=is_cut)
            return
        given = part.get("arguments", {})
        arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
        args, reason = self._arguments(arguments)
        if isinstance(given, str) and reason is None:
            self.flags["json_repaired"] = None
        if name not in self.schemas:
            reason = self._refuse_name(name)
        self._add(name, None, arguments, args, reason, is_cut=is_cut)

    def _name(self, header: str) -> tuple[str, int | None]:
        """The name in a call's id, empty when there is none, and its index."""
        found = _ID.fullmatch(header) if len(header) <= _MAX_ID_CHARS else None
        has_prefix = header.startswith(_PREFIX)
        name = found[1] if found else header.removeprefix(_PREFIX)[:_MAX_ID_CHARS]
        is_foreign = not has_prefix and _FOREIGN_ID.fullmatch(name) is not None
        if not name or (is_foreign and name not in self.schemas):
            self.flags["id_unusable"] = None
            return "", None
        if not has_prefix:
            self.flags["id_no_prefix"] = None
        if found is None:
            self.flags["id_no_index"] = None
        return name, int(found[2][:9]) if found else None

    def _infer(self, args: Any) -> str:
        """The one tool that these arguments fit by their keys, or nothing."""
        fits = [name for name, schema in self.schemas.items() if _fits(args, schema)]
        self.flags["name_inferred" if len(fits) == 1 else "name_unknown"] = None
        return fits[0] if len(fits) == 1 else ""

    def _unknown(self, header: str, name: str) -> Refusal | None:
        if name:
            return None
        error = f"cannot tell which function {header[:80]!r} calls"
        return Refusal("name_unknown", error, hint=self._names())

    def _refuse_name(self, name: str) -> Refusal:
        self.flags["unknown_function"] = None
        return Refusal("unknown_function", f"unknown function {name!r}", hint=self._names())

    def _names(self) -> str:
        return f"Valid names: {', '.join(self.schemas) or 'none'}."

    def _arguments(self, text: str, *, is_object: bool = True) -> tuple[Any, Refusal | None]:
        """What the arguments say, or why they cannot be read."""
        if "<think>" in text or "</think>" in text:
            self.flags["think_tag_in_args"] = None
        if len(self.calls) >= MAX_CALLS:
            return self._refuse("too_many_calls", f"at most {MAX_CALLS} calls in one turn")
        if len(text.encode(errors="replace")) > MAX_ARGUMENT_BYTES:
            return self._refuse(
                "args_too_long", f"arguments are longer than {MAX_ARGUMENT_BYTES // 1024} kB"
            )
        try:
            args, is_repaired = load(text)
        except (ValueError, RecursionError):
            return self._refuse("bad_json", NOT_JSON, hint="Write one JSON object.")
        if is_repaired:
            self.flags["json_repaired"] = None
        if is_object and not isinstance(args, dict):
            _, reason = self._refuse("args_not_object", "arguments must be a JSON object")
            return args, reason
        return args, None

    def _refuse(self, flag: str, error: str, *, hint: str = "") -> tuple[None, Refusal]:
        self.flags[flag] = None
        return None, Refusal(flag, error, hint=hint)

    def _add(
        self,
        name: str,
        index: int | None,
        arguments: str,
        args: Any,
        reason: Refusal | None,
        *,
        is_cut: bool,
    ) -> None:
        if reason is None and name in self.schemas:
            reason = self._check(args, self.schemas[name])
        if reason is None and is_cut:
            reason = Refusal("unclosed_call", "call was cut off before its end")
        flag, error, path, hint = reason or Refusal("", "")
        call_id = self._id(name or "unknown", index)
        self.calls.append(
            ParsedCall(call_id, name, arguments, args, error or None, flag, path, hint)
        )

    def _check(self, args: Any, schema: Mapping[str, Any]) -> Refusal | None:
        found = validate(args, schema)
        if found is not None:
            self.flags["schema_invalid"] = None
        return found

    def _id(self, name: str, index: int | None) -> str:
        call_id = f"{_PREFIX}{name}:{self._next if index is None else index}"
        if call_id in self._ids:
            self.flags["duplicate_id"] = None
            call_id = f"{_PREFIX}{name}:{self._next}"
        self._ids.add(call_id)
        self._count(call_id)
        return call_id

    def _count(self, call_id: str) -> None:
        if found := _ID.fullmatch(call_id):
            self._next = max(self._next, int(found[2][:9]) + 1)


def _fits(args: Any, schema: Mapping[str, Any]) -> bool:
    if not isinstance(args, dict):
        return False
    known: Mapping[str, Any] = schema.get("properties") or {}
    required: Sequence[str] = schema.get("required") or ()
    is_closed = schema.get("additionalProperties") is False
    return all(name in args for name in required) and (not is_closed or set(args) <= set(known))
