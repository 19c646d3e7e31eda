"""An import: documents from a file into a collection's own SQLite file, in batches.

What is written and how far the file was read stand in one transaction: an import that was
broken off goes on where it stopped, and one that was done is not done twice.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from kos.errors import UserError
from kos.tools.corpus import store
from kos.tools.corpus.index import IMPORTS

BATCH = 500
CHUNK_BYTES = 1 << 20


class Item(NamedTuple):
    """One entry of a file. ``doc`` None: nothing to keep of it; ``removed``: a key that goes."""

    doc: store.Doc | None = None
    removed: tuple[str, str] | None = None
    codes: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Source:
    """A sort of public file.

    ``read`` gives the items in an order that is always the same. ``version_of`` reads the
    file's own version, if it tells one. ``is_whole``: a file is all there is, and what it does
    not bring again goes.
    """

    collection: store.Collection
    read: Callable[[Path], Iterator[Item]]
    is_whole: bool
    version_of: Callable[[Path], str] = lambda path: ""


class Report(NamedTuple):
    """What an import did. ``is_repeated``: the file was done before and nothing was read."""

    num_entries: int
    num_kept: int
    num_removed: int
    seconds: float
    version: str
    is_repeated: bool = False
    num_resumed: int = 0


def run(
    source: Source,
    path: Path,
    folder: Path,
    *,
    version: str = "",
    is_again: bool = False,
    on_progress: Callable[[int, int], None] = lambda entries, kept: None,
) -> Report:
    """Import ``path`` into the corpus below ``folder``. Raises UserError on a bad file.

    ``version`` is said by who imports, where the file does not say it itself. ``on_progress``
    hears of entries read and documents kept after each batch.
    """
    if not path.is_file():
        raise UserError(f"There is no file {path}.")
    target = folder / IMPORTS / f"{source.collection.name}.sqlite3"
    target.parent.mkdir(parents=True, exist_ok=True)
    connection = store.create(target)
    try:
        # Readers go on reading while a batch is written.
        connection.execute("PRAGMA journal_mode = WAL")
        work = _Import(connection, source, path, version or source.version_of(path) or _day(path))
        return work.run(is_again=is_again, on_progress=on_progress)
    finally:
        connection.close()


def forget(name: str, folder: Path) -> bool:
    """Delete what was imported as ``name``; False when nothing was."""
    target = folder / IMPORTS / f"{name}.sqlite3"
    if not target.exists():
        return False
    for path in (target, *target.parent.glob(f"{target.name}-*")):
        path.unlink(missing_ok=True)
    return True


@dataclass
class _Import:
    connection: sqlite3.Connection
    source: Source
    path: Path
    version: str

    def run(self, *, is_again: bool, on_progress: Callable[[int, int], None]) -> Report:
        started = time.perf_counter()
        digest = _digest(self.path)
        done, kept, finished = self._state(digest)
        if finished and not is_again:
            return Report(done, kept, 0, 0.0, self.version, is_repeated=True)
        if is_again:
            done = kept = 0
        resumed = done
        collection = self._collection()
        items = self.source.read(self.path)
        for _ in islice(items, done):
            pass
        while batch := list(islice(items, BATCH)):
            done += len(batch)
            kept += self._write(batch, collection, digest, done=done, kept=kept)
            on_progress(done, kept)
        removed = self._finish(digest, collection, done=done, kept=kept)
        seconds = time.perf_counter() - started
        return Report(done, kept, removed, seconds, self.version, num_resumed=resumed)

    def _state(self, digest: str) -> tuple[int, int, str]:
        row = self.connection.execute(
            "SELECT num_entries, num_kept, finished FROM files WHERE digest = ?", (digest,)
        ).fetchone()
        return row or (0, 0, "")

    def _collection(self) -> int:
        made = datetime.now(UTC).isoformat(timespec="seconds")
        collection = replace(
            self.source.collection, mode="imported", version=self.version, made=made
        )
        return store.save_collection(self.connection, collection)

    def _write(
        self, batch: list[Item], collection: int, digest: str, *, done: int, kept: int
    ) -> int:
        """Write one batch and how far it got, both or neither; returns how many were kept."""
        docs = {(item.doc.kind, item.doc.key): item.doc for item in batch if item.doc}
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            store.add(self.connection, collection, docs.values(), batch=digest)
            store.add_codes(self.connection, (code for item in batch for code in item.codes))
            self.connection.executemany(
                "DELETE FROM docs WHERE kind = ? AND key = ?",
                [item.removed for item in batch if item.removed],
            )
            self._note(digest, done=done, kept=kept + len(docs), finished="")
        return len(docs)

    def _finish(self, digest: str, collection: int, *, done: int, kept: int) -> int:
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            removed = 0
            if self.source.is_whole and kept:
                removed = self.connection.execute(
                    "DELETE FROM docs WHERE collection = ? AND batch != ?", (collection, digest)
                ).rowcount
                self.connection.execute("DELETE FROM files WHERE digest != ?", (digest,))
            finished = datetime.now(UTC).isoformat(timespec="seconds")
            self._note(digest, done=done, kept=kept, finished=finished)
        if not kept:
            raise UserError(f"{self.path.name} was read whole and holds nothing to keep.")
        return removed

    def _note(self, digest: str, *, done: int, kept: int, finished: str) -> None:
        self.connection.execute(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)",
            (digest, self.path.name, done, kept, finished),
        )


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _day(path: Path) -> str:
    """The file's day of change, where nothing better is known."""
    return f"file of {datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()}"
