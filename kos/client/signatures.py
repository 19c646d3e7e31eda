"""Whether a call to your webhook came from Kos: ``Kos-Signature: t=<unix>,v1=<hex>``.

``v1`` is HMAC-SHA256 of ``<t>.<body>`` under the webhook's secret; for a day after a rotation
there are two. Receivers should refuse a ``t`` of more than five minutes ago.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterable

HEADER = "Kos-Signature"
TOLERANCE_SECONDS = 300


def sign(secrets: str | Iterable[str], body: bytes, *, at: int) -> str:
    """The header of ``body``, sent at the Unix time ``at``; a ``v1`` for each secret."""
    held = [secrets] if isinstance(secrets, str) else secrets
    return ",".join([f"t={at}", *(f"v1={_digest(secret, body, at)}" for secret in held)])


def webhook_is_genuine(
    secret: str,
    header: str,
    body: bytes | str,
    *,
    tolerance_seconds: float = TOLERANCE_SECONDS,
    now: float | None = None,
) -> bool:
    """Whether ``body``, the bytes as they came, was signed with ``secret`` a moment ago.

    A header may hold several ``v1``: while a secret is being changed, Kos signs with both.
    An old signature is refused, so that a call which was overheard cannot be played again.
    """
    raw = body.encode() if isinstance(body, str) else body
    parts = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "t" and value.isdecimal()]
    if len(times) != 1 or abs((now or time.time()) - int(times[0])) > tolerance_seconds:
        return False
    wanted = _digest(secret, raw, int(times[0])).encode()
    given = [value.encode() for name, _, value in parts if name == "v1"]
    return any(hmac.compare_digest(wanted, one) for one in given)


def _digest(secret: str, body: bytes, at: int) -> str:
    return hmac.new(secret.encode(), b"%d.%s" % (at, body), hashlib.sha256).hexdigest()
