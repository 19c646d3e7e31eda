"""Hermes and Qwen: ChatML, with tools in the system prompt and calls as JSON in tags.

Source: the chat template of Qwen2.5, which writes tools as Hermes 2 Pro was trained on them.
Without tools the text is what SmolLM2's own template makes of the same messages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from kos.chat.declare import function_of
from kos.chat.history import Turn, last_answer
from kos.chat.neutralise import neutralise
from kos.chat.syntax import CLOSE, OPEN
from kos.errors import UserError
from kos.messages import ToolCall

OPENING = "<|im_start|>assistant\n"
_END = "<|im_end|>\n"
_TOOLS = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{}
</tools>

For each function call, return a json object with function name and arguments within \
<tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""


def history(
    turns: Sequence[Turn],
    tools: Sequence[Mapping[str, Any]],
    *,
    thinking: bool,
    preserve_thinking: bool,
) -> str:
    """The conversation so far. Tools stand in the first system turn, or in one of their own."""
    first_live = 0 if preserve_thinking else last_answer(turns) + 1
    texts: list[str] = []
    if tools:
        is_headed = bool(turns) and turns[0].role == "system"
        head = f"{_content(turns[0])}\n\n" if is_headed else ""
        texts.append(f"<|im_start|>system\n{head}{_declarations(tools)}{_END}")
        turns, first_live = turns[is_headed:], first_live - is_headed
    places = enumerate(turns)
    for role, group in groupby(places, key=lambda item: item[1].role):
        if role == "tool":
            texts.append(f"<|im_start|>user{''.join(_result(turn) for _, turn in group)}{_END}")
        else:
            texts += (
                _turn(turn, shows_thinking=thinking and at >= first_live) for at, turn in group
            )
    return "".join(texts)


def _turn(turn: Turn, *, shows_thinking: bool) -> str:
    text = _content(turn)
    if shows_thinking and turn.thinking:
        text = f"{OPEN}\n{turn.thinking}\n{CLOSE}\n\n{text}"
    parts = [part for part in (text, *map(_call, turn.calls)) if part or not turn.calls]
    return f"<|im_start|>{turn.role}\n" + "\n".join(parts) + _END


def _result(turn: Turn) -> str:
    return f"\n<tool_response>\n{_content(turn)}\n</tool_response>"


def _call(call: ToolCall) -> str:
    """A call as it was made; what is no JSON goes in as a text."""
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError:
        arguments = call.arguments
    body = json.dumps({"name": call.name, "arguments": arguments}, ensure_ascii=False)
    return f"<tool_call>\n{body}\n</tool_call>"


def _declarations(tools: Sequence[Mapping[str, Any]]) -> str:
    for tool in tools:
        function_of(tool)
    lines = (json.dumps(tool, ensure_ascii=False) for tool in tools)
    return _TOOLS.format(neutralise("\n".join(lines)))


def _content(turn: Turn) -> str:
    if any(part["type"] != "text" for part in turn.parts):
        raise UserError("A model of the dialect `hermes` reads no pictures; send text.")
    text = "".join(part["text"] for part in turn.parts)
    return neutralise(text) if turn.is_untrusted else text
