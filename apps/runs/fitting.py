"""What of an event goes into the log when it is too long: numbers and names first, texts cut.

An event travels to every browser that watches, and stays in the log. What a job has to say at
length belongs into an artifact or its log file, which have it whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

MOST_BYTES = 64 << 10
TEXT_CHARS = 2_000
CUT = "… ({} characters in all)"


def fit(data: dict[str, Any]) -> dict[str, Any]:
    """``data``, at most MOST_BYTES long as JSON; ``cut_bytes`` says how long it was."""
    size = size_of(data)
    if size <= MOST_BYTES:
        return data
    fitted: dict[str, Any] = {"cut_bytes": size}
    left = MOST_BYTES - size_of(fitted)
    # The short ones first: one long text must not cost the step its number.
    for name in sorted(data, key=lambda name: size_of(data[name])):
        value, taken = _fit(data[name], left - size_of(name) - 4)
        if taken < 0:
            break
        fitted[name] = value
        left -= taken + size_of(name) + 4
    return {name: fitted[name] for name in (*data, "cut_bytes") if name in fitted}


def size_of(value: Any) -> int:
    """Bytes of ``value`` as JSON, where each character may take as many as it escapes to."""
    return len(json.dumps(value, default=str))


def _fit(value: Any, most: int) -> tuple[Any, int]:
    """As much of ``value`` as takes ``most`` bytes, and how many that are; -1 when none."""
    size = size_of(value)
    if size <= most:
        return value, size
    if isinstance(value, str):
        return _fit_text(value, most)
    if isinstance(value, dict | list) and most > 2:
        return _fit_parts(value, most)
    return None, -1


def _fit_text(text: str, most: int) -> tuple[Any, int]:
    # A character takes six bytes at most beside those above U+FFFF, which take twelve.
    kept = text[: max(0, min(TEXT_CHARS, most // 12 - len(CUT)))] + CUT.format(len(text))
    size = size_of(kept)
    return (kept, size) if size <= most else (None, -1)


def _fit_parts(value: dict[str, Any] | list[Any], most: int) -> tuple[Any, int]:
    """The first parts, as they come."""
    pairs: Iterable[tuple[Any, Any]] = ((None, one) for one in value)
    if isinstance(value, dict):
        pairs = value.items()
    kept: list[tuple[Any, Any]] = []
    left = most - 2
    for name, one in pairs:
        around = 2 if name is None else size_of(name) + 4
        part, taken = _fit(one, left - around)
        if taken < 0:
            break
        kept.append((name, part))
        left -= taken + around
    fitted = dict(kept) if isinstance(value, dict) else [part for _, part in kept]
    return fitted, most - left
