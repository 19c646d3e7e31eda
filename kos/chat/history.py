"""Messages from anywhere, in the one form that dialects render."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from kos.errors import UserError
from kos.messages import Message, ToolCall

_ROLES = ("system", "user", "assistant", "tool")
_CANONICAL = re.compile(r"functions\.(.+):(\d+)", re.DOTALL)


class Turn(NamedTuple):
    """One message. ``parts`` are texts (``{"type": "text", "text": …}``) and pictures."""

    role: str
    name: str
    parts: tuple[Mapping[str, Any], ...]
    thinking: str = ""
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""

    @property
    def is_untrusted(self) -> bool:
        """Whether the text comes from outside: from a reader, or through a tool."""
        return self.role in ("user", "tool")


def turns_of(messages: Sequence[Message | Mapping[str, Any]]) -> list[Turn]:
    """The messages with ids as Kimi writes them, counted over the whole conversation.

    Raises ``UserError`` for what is no message.
    """
    return _canonical([*_named(messages)])


def last_answer(turns: Sequence[Turn]) -> int:
    """Place of the last assistant turn without calls, -1 when there is none.

    All up to there is history; what follows is the running tool loop.
    """
    places = (
        place
        for place in range(len(turns) - 1, -1, -1)
        if turns[place].role == "assistant" and not turns[place].calls
    )
    return next(places, -1)


def _named(messages: Sequence[Message | Mapping[str, Any]]) -> Iterator[Turn]:
    """The messages; a result of ours bears its tool's name, as Moonshot's own examples do."""
    names: dict[str, str] = {}
    for message in messages:
        turn = _turn(message)
        names |= {call.id: call.name for call in turn.calls}
        if turn.role == "tool" and isinstance(message, Message):
            turn = turn._replace(name=turn.name or names.get(turn.call_id, ""))
        yield turn


def _turn(message: Message | Mapping[str, Any]) -> Turn:
    if isinstance(message, Message):
        return Turn(
            role=message.role,
            name=str(message.meta.get("name", "")),
            parts=_parts(message.content),
            thinking=message.thinking,
            calls=message.tool_calls,
            call_id=message.tool_call_id,
        )
    role = message.get("role")
    if role not in _ROLES:
        raise UserError(f"A message's role is one of {', '.join(_ROLES)}; found {role!r}.")
    return Turn(
        role=role,
        name=message.get("name") or "",
        parts=_parts(message.get("content") or ""),
        thinking=message.get("reasoning_content") or message.get("reasoning") or "",
        calls=tuple(_call(call) for call in message.get("tool_calls") or ()),
        call_id=message.get("tool_call_id") or "",
    )


def _parts(content: Any) -> tuple[Mapping[str, Any], ...]:
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for part in parts:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind not in ("text", "image", "image_url") or not isinstance(part.get("text", ""), str):
            raise UserError(
                f"A message's content is a text, or a list of texts and pictures; found {kind!r}."
            )
    return tuple(parts)


def _call(call: Mapping[str, Any]) -> ToolCall:
    function = call.get("function") or {}
    arguments = function.get("arguments", "")
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return ToolCall(str(call.get("id") or ""), str(function.get("name") or ""), arguments)


def _canonical(turns: Sequence[Turn]) -> list[Turn]:
    """Rewrite the ids unless all are in order; a result follows the call it answers."""
    ids = [call.id for turn in turns for call in turn.calls]
    if len(set(ids)) == len(ids) and all(_is_canonical(turn) for turn in turns):
        return list(turns)
    return [*_renumber(turns)]


def _is_canonical(turn: Turn) -> bool:
    found = [_CANONICAL.fullmatch(call.id) for call in turn.calls]
    return all(
        match is not None and match[1] == call.name
        for match, call in zip(found, turn.calls, strict=True)
    )


def _renumber(turns: Sequence[Turn]) -> Iterator[Turn]:
    count = 0
    # A result belongs to the nearest call of its id before it, so later calls take an id over.
    names: dict[str, str] = {}
    for turn in turns:
        calls = []
        for call in turn.calls:
            names[call.id] = f"functions.{call.name}:{count}"
            calls.append(ToolCall(names[call.id], call.name, call.arguments))
            count += 1
        yield turn._replace(calls=tuple(calls), call_id=names.get(turn.call_id, turn.call_id))
