"""Deterministic checks written out, so that a clinician can read what is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from kos.data.rubrics import Check, NumberRange


def say(check: Check) -> str:
    """The check as one sentence: every part must hold."""
    parts = [
        _phrases("says one of", check.any_of),
        _phrases("says all of", check.all_of),
        _phrases("says none of", check.none_of),
        "matches the pattern below" if check.regex else "",
        _number(check.number) if check.number else "",
        _length(check),
        "asks the reader a question" if check.asks_question else "",
    ]
    return f"The answer {_join([part for part in parts if part], ', and ')}."


def _phrases(verb: str, phrases: Sequence[str]) -> str:
    return f"{verb} {_join([f'“{phrase}”' for phrase in phrases], ', ')}" if phrases else ""


def _number(wanted: NumberRange) -> str:
    value = (
        f"the number {wanted.low:g}"
        if wanted.low == wanted.high
        else f"a number from {wanted.low:g} to {wanted.high:g}"
    )
    near = f" near {_join([f'“{word}”' for word in wanted.near], ' or ')}" if wanted.near else ""
    return f"states {value}{near}"


def _length(check: Check) -> str:
    if check.min_chars is not None and check.max_chars is not None:
        return f"has {check.min_chars} to {check.max_chars} characters"
    if check.min_chars is not None:
        return f"has at least {check.min_chars} characters"
    return f"has at most {check.max_chars} characters" if check.max_chars is not None else ""


def _join(parts: Sequence[str], between: str) -> str:
    return between.join(parts)
