"""Rulings that were paid for once, by the hash of everything a judge was told."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class RulingCache:
    """One SQLite file. Only replies that could be read are kept."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Each row commits by itself: a killed process loses no ruling it has written.
        self._file = sqlite3.connect(path, isolation_level=None)
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=NORMAL")
        self._file.execute("CREATE TABLE IF NOT EXISTS rulings (key TEXT PRIMARY KEY, data TEXT)")

    def get(self, key: str) -> dict[str, Any] | None:
        """What was kept under ``key``."""
        row = self._file.execute("SELECT data FROM rulings WHERE key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, key: str, data: dict[str, Any]) -> None:
        """Keep ``data``; the first to come stays."""
        self._file.execute("INSERT OR IGNORE INTO rulings VALUES (?, ?)", (key, json.dumps(data)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@contextmanager
def open_cache(path: Path) -> Iterator[RulingCache]:
    """The cache in the file ``path`` until the block ends."""
    cache = RulingCache(path)
    try:
        yield cache
    finally:
        cache.close()
