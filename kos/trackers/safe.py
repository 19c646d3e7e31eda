"""What may leave the console for a tracker: numbers, choices, names. No texts, no secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from kos.trackers.base import Value

LONGEST = 200
# Names of knobs whose values are words to a model, or open a door.
HIDDEN = re.compile(r"(^|_)(prompts?|message|messages|secret|password|key|api_key)$")
CREDENTIALS = re.compile(r"(://)[^/@\s]+@")
ASSIGNED = re.compile(r"(?i)((?:key|token|password|secret|bearer)\w*[=:\s]+)\S+")


def config(knobs: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    """The knobs by dotted name, without texts and secrets.

    A string stays when it is one word (a choice, a name, a path): instructions to a model and
    judges' prompts are more. Addresses lose their user and query.
    """
    flat: dict[str, Value] = {}
    for name, value in knobs.items():
        match value:
            case Mapping():
                flat |= config(value, f"{prefix}{name}.")
            case list() | tuple():
                flat |= config({str(at): one for at, one in enumerate(value)}, f"{prefix}{name}.")
            case bool() | int() | float():
                flat[f"{prefix}{name}"] = value
            case str() if _is_word(value) and not HIDDEN.search(name):
                flat[f"{prefix}{name}"] = _address(value)
    return flat


def numbers(found: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers by dotted name; what is not a number stays here."""
    flat: dict[str, float] = {}
    for name, value in found.items():
        match value:
            case Mapping():
                flat |= numbers(value, f"{prefix}{name}.")
            case bool():
                pass
            case int() | float():
                flat[f"{prefix}{name}"] = float(value)
    return flat


def sentence(error: BaseException) -> str:
    """What went wrong, in one line that gives no credentials away."""
    first = next(iter(str(error).strip().splitlines()), "")
    text = CREDENTIALS.sub(r"\1", ASSIGNED.sub(r"\1…", first))[:LONGEST]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _is_word(text: str) -> bool:
    return 0 < len(text) <= LONGEST and not re.search(r"\s", text)


def _address(text: str) -> str:
    if "://" not in text:
        return text
    parts = urlsplit(text)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
