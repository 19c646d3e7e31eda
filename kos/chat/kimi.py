"""Kimi K2.5: the prompt as its template writes it.

Source: chat_template.jinja and tokenizer_config.json of Kimi K2.5 and K2.6. Ids of calls count
over the conversation; an assistant turn before the last answer loses its thinking.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from kos.chat.declare import declare_json, declare_typescript
from kos.chat.history import Turn, last_answer
from kos.chat.neutralise import neutralise
from kos.chat.syntax import CLOSE, OPEN

END = "<|im_end|>"
MIDDLE = "<|im_middle|>"
_IMAGE = "<|media_begin|>image<|media_content|><|media_pad|><|media_end|>\n"


def declarations(tools: Sequence[Mapping[str, Any]], *, tools_as: str) -> str:
    """The turn that declares the tools; empty without any."""
    if not tools:
        return ""
    declare = declare_typescript if tools_as == "typescript" else declare_json
    return f"<|im_system|>tool_declare{MIDDLE}{neutralise(declare(tools))}{END}"


def history(turns: Sequence[Turn], *, thinking: bool, preserve_thinking: bool) -> str:
    """The conversation so far."""
    first_live = 0 if preserve_thinking else last_answer(turns) + 1
    return "".join(
        _turn(turn, shows_thinking=thinking and place >= first_live)
        for place, turn in enumerate(turns)
    )


def opening(*, thinking: bool) -> str:
    """How the model's turn begins."""
    return f"<|im_assistant|>assistant{MIDDLE}{OPEN}" + ("" if thinking else CLOSE)


def _turn(turn: Turn, *, shows_thinking: bool) -> str:
    role = turn.role if turn.role in ("user", "assistant") else "system"
    head = f"<|im_{role}|>{neutralise(turn.name or turn.role)}{MIDDLE}"
    return head + "".join(_body(turn, shows_thinking=shows_thinking)) + END


def _body(turn: Turn, *, shows_thinking: bool) -> Iterator[str]:
    if turn.role == "tool":
        yield f"## Return of {neutralise(turn.call_id)}\n"
    if turn.role == "assistant":
        yield f"{OPEN}{turn.thinking if shows_thinking else ''}{CLOSE}"
    yield from _content(turn)
    if turn.calls:
        yield "<|tool_calls_section_begin|>"
        for call in turn.calls:
            yield f"<|tool_call_begin|>{call.id}<|tool_call_argument_begin|>{call.arguments}"
            yield "<|tool_call_end|>"
        yield "<|tool_calls_section_end|>"


def _content(turn: Turn) -> Iterator[str]:
    """The text, and a placeholder for each picture. Neighbouring texts are neutralised as one:
    a token may be cut in two.
    """
    for is_text, parts in groupby(turn.parts, key=lambda part: part["type"] == "text"):
        if is_text:
            text = "".join(part["text"] for part in parts)
            yield neutralise(text) if turn.is_untrusted else text
        else:
            yield from (_IMAGE for _ in parts)
