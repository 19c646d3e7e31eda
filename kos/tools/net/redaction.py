"""Keys never leave by the side door: not in errors, not in logs."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping

HIDDEN = "[key]"
HEADERS = (
    "authorization",
    "x-subscription-token",
    "x-api-key",
    "apikey",
    "subscription-key",
    "cookie",
)
_PARAMETER = re.compile(
    r"\b((?:api[_-]?key|subscription-key|client_secret|access_token|token|secret|password)=)[^&\s\"']+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE)
# Shorter ones would blank out ordinary words.
MIN_SECRET_CHARS = 6


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` without the ``secrets`` and without what looks like a key in a URL or header."""
    for secret in secrets:
        if len(secret) >= MIN_SECRET_CHARS:
            text = text.replace(secret, HIDDEN)
    return _BEARER.sub(rf"\1 {HIDDEN}", _PARAMETER.sub(rf"\1{HIDDEN}", text))


def redact_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers with those hidden that carry keys."""
    return {name: HIDDEN if name.lower() in HEADERS else value for name, value in headers.items()}


class RedactingFilter(logging.Filter):
    """httpx logs every URL it asks for, with the keys of those who want them there."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the line, keep it."""
        record.msg, record.args = redact(record.getMessage()), ()
        return True


def redact_logs() -> None:
    """Put the filter on httpx's logger, once."""
    logger = logging.getLogger("httpx")
    if not any(isinstance(found, RedactingFilter) for found in logger.filters):
        logger.addFilter(RedactingFilter())
