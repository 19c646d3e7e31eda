"""JSON bodies as the database can keep them: no NUL, no half surrogate, no NaN."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NoReturn

from django.http import HttpRequest
from ninja.errors import HttpError, ValidationError
from ninja.parser import Parser

# How such a text looks in a body: nothing else needs a second look.
ESCAPES = (b"\\u0000", b"\\ud", b"\\uD")


class StrictParser(Parser):
    """JSON as its standard has it, with texts that PostgreSQL takes."""

    def parse_body(self, request: HttpRequest) -> Any:
        try:
            return json.loads(request.body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise HttpError(400, f"the body is no JSON that can be read: {error}") from error


def check_body(request: HttpRequest) -> None:
    """Raise ValidationError for JSON with a text that cannot be kept; what is no JSON is let by."""
    if not any(sign in request.body for sign in ESCAPES):
        return
    with suppress(ValueError, RecursionError):
        check_texts(json.loads(request.body), "body")


def check_texts(value: Any, place: str) -> None:
    """Raise ValidationError for a text that cannot be kept, anywhere in ``value``."""
    if any(not can_keep(text) for text in _texts(value)):
        sentence = "a text has a NUL or half a surrogate in it, which cannot be kept"
        raise ValidationError([{"type": "text", "loc": (place,), "msg": sentence}])


def can_keep(text: str) -> bool:
    """Whether a text of PostgreSQL can hold this one."""
    if "\x00" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _texts(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            waiting += one


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
