"""The markers of each dialect, and where a parser looks for which.

Kimi's tool and thinking tokens are added to its vocabulary but not "special", so a server that
skips special tokens still sends them; K2's report spells the section's without the plural.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

OPEN = "<think>"
CLOSE = "</think>"

State = Literal["thinking", "answer", "section", "header", "arguments", "cut"]
Kind = Literal[
    "think", "think_end", "section", "section_end", "call", "argument", "call_end", "control"
]


@dataclass(frozen=True)
class Syntax:
    """The markers of a dialect. ``foreign`` finds calls in the syntax of another one."""

    markers: Mapping[str, Kind]
    foreign: re.Pattern[str] | None = None

    @property
    def has_sections(self) -> bool:
        """Whether calls stand in a section, with an id before their arguments (Kimi)."""
        return "section" in self.markers.values()

    @cached_property
    def beginnings(self) -> frozenset[str]:
        """All proper prefixes of the markers; each begins with the marker's only ``<``."""
        return frozenset(text[:size] for text in self.markers for size in range(1, len(text)))

    @cached_property
    def longest(self) -> int:
        """Length of the longest beginning."""
        return max(map(len, self.beginnings))

    @cached_property
    def patterns(self) -> Mapping[State, re.Pattern[str] | None]:
        """What to look for in each state; everything else there is text."""
        return {
            state: _pattern([text for text, kind in self.markers.items() if kind in kinds])
            for state, kinds in _ACTIVE.items()
        }


_ACTIVE: Mapping[State, tuple[Kind, ...]] = {
    "thinking": ("think", "think_end", "section", "call"),
    "answer": (
        *("think", "think_end", "section", "section_end"),
        *("call", "argument", "call_end", "control"),
    ),
    "section": ("section", "section_end", "call", "argument", "call_end"),
    "header": ("section", "section_end", "call", "argument", "call_end"),
    "arguments": ("section", "section_end", "call", "call_end"),
    "cut": (),
}
THINKING_ONLY = Syntax({OPEN: "think", CLOSE: "think_end"})


# Tokens that have no place in an answer; what follows one is not for a reader.
KIMI_CONTROL = (
    *("<|im_end|>", "<|im_user|>", "<|im_assistant|>", "<|im_system|>", "<|im_middle|>"),
    *("<|media_begin|>", "<|media_content|>", "<|media_end|>", "<|media_pad|>"),
    *("<|start_header_id|>", "<|end_header_id|>"),
)
CHATML_CONTROL = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")

_KIMI_CALLS = r"<\|tool_calls?_(?:section_)?(?:begin|end)\|>"
_HERMES_CALLS = r"</?tool_call>"
_OTHER_CALLS = r"<function[=_]|\[TOOL_CALLS\]|<invoke "

THINKING_ONLY = Syntax({OPEN: "think", CLOSE: "think_end"})

KIMI = Syntax(
    markers={
        OPEN: "think",
        CLOSE: "think_end",
        "<|tool_calls_section_begin|>": "section",
        "<|tool_calls_section_end|>": "section_end",
        "<|tool_call_section_begin|>": "section",
        "<|tool_call_section_end|>": "section_end",
        "<|tool_call_begin|>": "call",
        "<|tool_call_argument_begin|>": "argument",
        "<|tool_call_end|>": "call_end",
        **dict.fromkeys(KIMI_CONTROL, "control"),
    },
    foreign=re.compile(f"{_HERMES_CALLS}|{_OTHER_CALLS}"),
)

HERMES = Syntax(
    markers={
        OPEN: "think",
        CLOSE: "think_end",
        "<tool_call>": "call",
        "</tool_call>": "call_end",
        **dict.fromkeys(CHATML_CONTROL, "control"),
    },
    foreign=re.compile(f"{_KIMI_CALLS}|{_OTHER_CALLS}"),
)

# A server that parses calls itself leaves none in the text.
SERVER = Syntax(
    THINKING_ONLY.markers, foreign=re.compile(f"{_KIMI_CALLS}|{_HERMES_CALLS}|{_OTHER_CALLS}")
)


def _pattern(markers: Sequence[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(map(re.escape, markers))) if markers else None
