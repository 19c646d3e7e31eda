"""What can be wrong with an answer, seen from its raw text alone: flags by name.

============== ==========================================================================
think_leak     thinking or a control token stands in the answer
unclosed_think the turn ended while thinking
unclosed_call  a tool call was opened and never closed
repetition     a phrase of at most 64 words (or characters) repeats at least 8 times
truncated      the answer hit its token limit
empty          there is no answer
============== ==========================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from kos.chat.parse import split_thinking

MAX_PERIOD = 64
MIN_REPEATS = 8
# Repeats that fill less than this are ordinary: table rules, "no, no, no", a column of zeros.
MIN_SPAN_WORDS = 16
MIN_SPAN_CHARS = 64

_CONTROL = re.compile(r"<\|im_[a-z]+\|>")
_CALLS = (
    ("<|tool_call_begin|>", "<|tool_call_end|>"),
    ("<tool_call>", "</tool_call>"),
)
_LIMITS = ("length", "max_tokens")


def flags(
    raw: str, answer: str, stop_reason: str, *, starts_thinking: bool = False
) -> tuple[str, ...]:
    """Name what is wrong, in the order of the table above; nothing wrong gives ``()``.

    ``raw`` is all that was generated, ``answer`` what the reader sees. ``starts_thinking``
    says that the prompt already opened the thinking.
    """
    parsed = split_thinking(raw, starts_thinking=starts_thinking).flags
    found = {
        "think_leak": "think_leak" in parsed or _CONTROL.search(answer) is not None,
        "unclosed_think": "unclosed_think" in parsed,
        "unclosed_call": has_unclosed_call(raw),
        "repetition": stop_reason == "repetition" or repeats(raw),
        "truncated": stop_reason in _LIMITS,
        "empty": not answer.strip(),
    }
    return tuple(name for name, is_so in found.items() if is_so)


def has_unclosed_call(raw: str) -> bool:
    """Whether a tool call, in Kimi's or Hermes's form, is opened more often than closed."""
    return any(raw.count(begin) > raw.count(end) for begin, end in _CALLS)


def repeats(text: str) -> bool:
    """Whether a phrase repeats without a pause, by words or by characters.

    Source of the bounds: no hit in 2.09M tokens of clean medical documents at period 64 and
    8 repeats. Rules and blanks do not count: the phrase must hold a letter or a digit.
    """
    return _is_periodic(text.split(), MIN_SPAN_WORDS, " ".join) or _is_periodic(
        text, MIN_SPAN_CHARS, "".join
    )


def _is_periodic(
    units: Sequence[str], min_span: int, join: Callable[[Sequence[str]], str]
) -> bool:
    for period in range(1, min(MAX_PERIOD, len(units) // MIN_REPEATS) + 1):
        needed = max(period * MIN_REPEATS, min_span) - period
        equal = 0
        for place in range(period, len(units)):
            equal = equal + 1 if units[place] == units[place - period] else 0
            if equal >= needed and says_something(join(units[place - period : place])):
                return True
    return False


def says_something(phrase: str) -> bool:
    """Whether there is a letter or a digit in it: rules and blanks may repeat."""
    return any(letter.isalnum() for letter in phrase)
