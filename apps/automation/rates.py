"""How many requests a caller may make a minute, counted in this process.

A console of several web processes grants the rate to each of them: a count that all of them
share would cost every request a round trip.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

MINUTE = 60.0
# Buckets that are full again say nothing; they are dropped when so many are kept.
MOST_BUCKETS = 10_000


class Verdict(NamedTuple):
    """Whether a request may go on, what its headers say, and in how many seconds if not."""

    is_allowed: bool
    headers: Mapping[str, str]
    retry_seconds: int = 0


@dataclass
class Bucket:
    """Requests left of ``size``; they come back evenly over a minute."""

    size: int
    left: float = 0.0
    at: float = field(default_factory=lambda: time.monotonic())

    def __post_init__(self) -> None:
        self.left = float(self.size)

    def take(self) -> Verdict:
        """Take one request, if one is left."""
        now = time.monotonic()
        self.left = min(self.size, self.left + (now - self.at) * self.size / MINUTE)
        self.at = now
        is_allowed = self.left >= 1
        if is_allowed:
            self.left -= 1
        wait = 0 if is_allowed else math.ceil((1 - self.left) * MINUTE / self.size)
        return Verdict(is_allowed, self._headers(), wait)

    @property
    def is_full(self) -> bool:
        """Whether it would be full again by now."""
        return self.left + (time.monotonic() - self.at) * self.size / MINUTE >= self.size

    def _headers(self) -> dict[str, str]:
        """The IETF's fields (draft-ietf-httpapi-ratelimit-headers-10) and OpenAI's."""
        left = int(self.left)
        reset = math.ceil((self.size - self.left) * MINUTE / self.size)
        return {
            "RateLimit-Policy": f'"requests";q={self.size};w={MINUTE:.0f}',
            "RateLimit": f'"requests";r={left};t={reset}',
            "x-ratelimit-limit-requests": str(self.size),
            "x-ratelimit-remaining-requests": str(left),
            "x-ratelimit-reset-requests": f"{reset}s",
        }


class Buckets:
    """One bucket a caller."""

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}

    def take(self, key: str, size: int) -> Verdict:
        """Take one request of the caller ``key``; a ``size`` of 0 has no limit."""
        if not size:
            return Verdict(True, {})
        bucket = self._buckets.get(key)
        if bucket is None or bucket.size != size:
            self._drop_full()
            bucket = self._buckets[key] = Bucket(size)
        return bucket.take()

    def _drop_full(self) -> None:
        if len(self._buckets) >= MOST_BUCKETS:
            kept = {key: one for key, one in self._buckets.items() if not one.is_full}
            self._buckets = kept
