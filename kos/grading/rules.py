"""Deterministic checks: verdicts that need no judge, exact enough to train on.

A phrase matches case-insensitively on word boundaries; runs of white space, typographic quotes
and dashes are made plain first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from kos.data.rubrics import Check, NumberRange

NEAR_CHARS = 40
PLAIN = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2013": "-",
        "\u2014": "-",
        "\u2212": "-",
        "\u00a0": " ",
    }
)
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?")


def holds(check: Check, answer: str) -> bool:
    """Whether every part of ``check`` holds for the visible ``answer``."""
    text = plain(answer)
    phrases = (
        (not check.any_of or any(occurs(phrase, text) for phrase in check.any_of))
        and all(occurs(phrase, text) for phrase in check.all_of)
        and not any(occurs(phrase, text) for phrase in check.none_of)
    )
    return phrases and _shape_holds(check, answer, text)


def plain(text: str) -> str:
    """Plain quotes and dashes, single blanks."""
    return " ".join(text.translate(PLAIN).split())


def occurs(phrase: str, text: str) -> bool:
    """Whether ``phrase`` stands in the plain ``text`` as whole words."""
    return pattern_of(phrase).search(text) is not None


@lru_cache(maxsize=4096)
def pattern_of(phrase: str) -> re.Pattern[str]:
    """What finds ``phrase`` in a plain text."""
    words = re.escape(plain(phrase))
    return re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE)


def _shape_holds(check: Check, answer: str, text: str) -> bool:
    length = len(answer.strip())
    return (
        (not check.regex or re.search(check.regex, text, re.IGNORECASE) is not None)
        and (check.number is None or _states_number(check.number, text))
        and (check.min_chars is None or length >= check.min_chars)
        and (check.max_chars is None or length <= check.max_chars)
        and (not check.asks_question or "?" in text)
    )


def _states_number(wanted: NumberRange, text: str) -> bool:
    return next(stated_numbers(wanted, text), None) is not None


def stated_numbers(wanted: NumberRange, text: str) -> Iterator[tuple[int, int]]:
    """Where the plain ``text`` states a number of the range, near one of its words."""
    for found in NUMBER.finditer(text):
        if wanted.low <= float(found.group().replace(",", "")) <= wanted.high:
            start = max(0, found.start() - NEAR_CHARS)
            around = text[start : found.end() + NEAR_CHARS]
            if not wanted.near or any(occurs(word, around) for word in wanted.near):
                yield found.span()
