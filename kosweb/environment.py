"""Typed readers of the environment. Only ``kosweb.settings`` calls them.

Every name may also be given as ``NAME_FILE``, a path to a file with the value: that is how
containers hand over secrets.
"""

from __future__ import annotations

import os
from json import JSONDecodeError, loads
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

TRUE = {"1", "true", "yes", "on"}
FALSE = {"", "0", "false", "no", "off"}
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def text(name: str, default: str = "") -> str:
    file = os.environ.get(f"{name}_FILE")
    if file is None:
        return os.environ.get(name, default)
    try:
        return Path(file).read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name}_FILE names {file}, which cannot be read: {error}"
        ) from error


def flag(name: str, *, default: bool = False) -> bool:
    value = text(name, str(default)).lower()
    if value not in TRUE | FALSE:
        raise ImproperlyConfigured(f"{name} is {value!r}; say 1 or 0")
    return value in TRUE


def number(name: str, default: int) -> int:
    value = text(name, str(default))
    try:
        return int(value)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is {value!r}; a whole number would do") from error


def path(name: str, default: Path) -> Path:
    return Path(text(name) or default).expanduser().resolve()


def issuer(name: str) -> str:
    """The address of an OIDC provider; http is good on this machine alone."""
    value = text(name)
    parts = urlsplit(value)
    is_here = parts.hostname in LOOPBACK
    if value and (parts.scheme != "https" and not (parts.scheme == "http" and is_here)):
        raise ImproperlyConfigured(f"{name} is {value!r}; an address with https:// would do")
    if value and (not parts.hostname or parts.query or parts.fragment):
        raise ImproperlyConfigured(f"{name} is {value!r}; an address without ? and # would do")
    return value


def words(name: str, default: str) -> list[str]:
    """A list, separated by commas."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def json(name: str) -> dict[str, Any]:
    """A JSON object; {} when it is not set."""
    value = text(name)
    try:
        found = loads(value) if value else {}
    except JSONDecodeError as error:
        raise ImproperlyConfigured(f"{name} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ImproperlyConfigured(f"{name} is {value[:80]!r}; a JSON object would do")
    return found


def choices(name: str, known: set[str]) -> dict[str, str]:
    """A JSON object whose values are of ``known``."""
    found = json(name)
    wrong = [value for value in found.values() if value not in known]
    if wrong:
        raise ImproperlyConfigured(
            f"{name} has {wrong[0]!r}; one of {', '.join(sorted(known))} would do"
        )
    return found


def inherited(**changes: str) -> dict[str, str]:
    """What a process of ours is started with: our own environment and ``changes``."""
    return {**os.environ, **changes}
