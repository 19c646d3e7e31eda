"""What is kept of an answer: under which key, and for how long."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from kos.tools.base import Provenance, Record

HOUR = 3600.0
# Seconds; what a search engine returns goes stale soonest.
SECONDS_KEPT: Mapping[str, float] = {
    "search_drug_label": 24 * HOUR,
    "search_triage_guideline": 24 * HOUR,
    "search_pubmed": 6 * HOUR,
    "search_clinical_trials": 6 * HOUR,
    "web_search": HOUR / 4,
    "read_url": HOUR / 4,
    "search_icd": 30 * 24 * HOUR,
}
DEFAULT_SECONDS_KEPT = HOUR / 4
MAX_ENTRIES = 2000


@dataclass
class MemoryCache:
    """A cache for jobs and tests: this process only, the oldest entries leave first."""

    clock: Callable[[], float] = time.monotonic
    _entries: dict[str, tuple[float, str]] = field(default_factory=dict, repr=False)

    async def get(self, key: str) -> dict[str, Any] | None:
        """What was put there, unless its time is over."""
        until, text = self._entries.get(key, (0.0, ""))
        if not text:
            return None
        if until <= self.clock():
            del self._entries[key]
            return None
        value: dict[str, Any] = json.loads(text)
        return value

    async def put(self, key: str, value: dict[str, Any], seconds: float) -> None:
        """Keep ``value`` for ``seconds``."""
        self._entries.pop(key, None)
        while len(self._entries) >= MAX_ENTRIES:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = (self.clock() + seconds, json.dumps(value))


def key_of(
    tool: str, provider: str, *, version: str, arguments: Mapping[str, Any], owner: str = ""
) -> str:
    """SHA-256 over tool, source, its version and the arguments in canonical JSON: 64 hex digits.

    ``owner`` is given for what may not be shared. Keys of outside services are no part of it.
    """
    parts = [tool, provider, version, arguments, *([owner] if owner else [])]
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def seconds_kept(tool: str) -> float:
    """How long answers of ``tool`` are kept."""
    return SECONDS_KEPT.get(tool, DEFAULT_SECONDS_KEPT)


def pack(records: tuple[Record, ...]) -> dict[str, Any]:
    """The records as plain JSON."""
    return {"records": [asdict(record) for record in records]}


def unpack(value: Mapping[str, Any]) -> tuple[Record, ...]:
    """The records again; each now says that it comes from the cache."""
    return tuple(
        Record(**kept | {"provenance": Provenance(**kept["provenance"] | {"mode": "cache"})})
        for kept in value["records"]
    )
