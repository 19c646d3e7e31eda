"""One file of a corpus, open for reading from any thread."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from kos.tools.corpus import store

# A hit in the title is worth eight in the body (measured on the embedded kinds).
WEIGHTS = (8.0, 4.0, 1.0)


class Hit(NamedTuple):
    """A document found. ``score`` is higher for better; ``rung`` is 0 when all terms matched."""

    kind: str
    key: str
    title: str
    terms: str
    body: str
    notes: str
    url: str
    source_url: str
    version: str
    collection: store.Collection
    score: float
    rung: int


class Holding(NamedTuple):
    """How many documents of one kind one collection brought."""

    collection: store.Collection
    kind: str
    num_docs: int


COLUMNS = (
    "d.kind, d.key, d.title, d.terms, d.body, d.notes, d.url, d.source_url, d.version,"
    " d.collection"
)


@dataclass(eq=False)
class Shelf:
    """Read-only view of one SQLite file. Connections are pooled; each is used by one at a time."""

    path: Path
    is_fixed: bool  # never written again: SQLite need not look for changes

    def __post_init__(self) -> None:
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._is_closed = False
        self._collections: dict[int, store.Collection] = {}
        self._holdings: tuple[object, list[Holding]] = (None, [])

    @contextmanager
    def lend(self) -> Iterator[sqlite3.Connection]:
        """A connection of one's own."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or self._connect()
        try:
            yield connection
        finally:
            with self._lock:
                is_kept = not self._is_closed
                if is_kept:
                    self._idle.append(connection)
            if not is_kept:
                connection.close()

    def match(
        self, kinds: Sequence[str], expression: str, *, limit: int, rung: int = 0
    ) -> list[Hit]:
        """The documents of ``kinds`` (none: of any) that match, best first."""
        of_kind = f"d.kind IN ({', '.join('?' * len(kinds))})" if kinds else "1"
        # Scores first, texts then: SQLite would carry every text through its sorter.
        statement = (
            f"SELECT {COLUMNS}, -best.score FROM ("  # noqa: S608  # placeholders and constants
            "SELECT words.rowid AS id, bm25(words, ?, ?, ?) AS score FROM words"
            " JOIN docs d ON d.id = words.rowid"
            f" WHERE words MATCH ? AND {of_kind} ORDER BY score LIMIT ?"
            ") AS best JOIN docs d ON d.id = best.id ORDER BY best.score"
        )
        with self.lend() as connection:
            rows = connection.execute(statement, (*WEIGHTS, expression, *kinds, limit)).fetchall()
        return [self._hit(row[:-1], score=row[-1], rung=rung) for row in rows]

    def by_key(self, kinds: Sequence[str], key: str) -> list[Hit]:
        """The documents of ``kinds`` with exactly this key."""
        return self._where(f"d.kind IN ({', '.join('?' * len(kinds))}) AND d.key = ?", *kinds, key)

    def below(self, kinds: Sequence[str], code: str, *, limit: int) -> list[Hit]:
        """The documents of ``kinds`` whose key begins with ``code``, shortest first."""
        condition = f"d.kind IN ({', '.join('?' * len(kinds))}) AND d.key GLOB ? AND d.key != ?"
        order = "length(d.key), d.key"
        # A code is letters, digits and a dot: nothing that GLOB takes for a pattern.
        return self._where(condition, *kinds, f"{code}*", code, order=order, limit=limit)

    def extension(self, code: str) -> tuple[str, str] | None:
        """The key of the entry that a full code without dot adds a character to, and its sense."""
        with self.lend() as connection:
            row = connection.execute(
                "SELECT base, suffix FROM codes WHERE code = ?", (code,)
            ).fetchone()
        return (str(row[0]), str(row[1])) if row else None

    def by_address(self, url: str) -> list[Hit]:
        """The documents at ``url``, or made from what lies there."""
        if url.startswith(store.ADDRESS):
            kind, _, key = url.removeprefix(store.ADDRESS).partition("/")
            return self.by_key((kind,), key)
        # The partial indexes serve only what provably is not empty.
        found = self._where("d.url = ? AND d.url != ''", url)
        return found or self._where("d.source_url = ? AND d.source_url != ''", url)

    def holdings(self) -> list[Holding]:
        """What lies in here, by collection and kind; counted anew once the file has changed."""
        stamp = self._stamp()
        if self._holdings[0] != stamp:
            with self.lend() as connection:
                rows = connection.execute(
                    "SELECT c.id, d.kind, COUNT(d.kind) FROM collections c"
                    " LEFT JOIN docs d ON d.collection = c.id GROUP BY c.id, d.kind ORDER BY 1, 2"
                ).fetchall()
            found = [Holding(self.collection(id_), kind or "", count) for id_, kind, count in rows]
            self._holdings = (stamp, found)
        return self._holdings[1]

    def collection(self, number: int) -> store.Collection:
        """The collection with this row number."""
        if not self.is_fixed or number not in self._collections:
            with self.lend() as connection:
                row = connection.execute(
                    "SELECT name, title, mode, version, licence, attribution, home, note, made"
                    " FROM collections WHERE id = ?",
                    (number,),
                ).fetchone()
            self._collections[number] = store.Collection(*row)
        return self._collections[number]

    def close(self) -> None:
        """Close what is idle; a connection that is lent out closes when it comes back."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _where(
        self, condition: str, *values: str, order: str = "d.id", limit: int = 20
    ) -> list[Hit]:
        statement = (
            f"SELECT {COLUMNS} FROM docs d WHERE {condition}"  # noqa: S608  # constants
            f" ORDER BY {order} LIMIT {limit:d}"
        )
        with self.lend() as connection:
            rows = connection.execute(statement, values).fetchall()
        return [self._hit(row) for row in rows]

    def _hit(self, row: tuple[Any, ...], *, score: float = 0.0, rung: int = 0) -> Hit:
        *texts, number = row
        hit = Hit._make((*texts, self.collection(number), score, rung))
        return hit if hit.url else hit._replace(url=store.address_of(hit.kind, hit.key))

    def _stamp(self) -> object:
        """Another one whenever the file was written."""
        logs = (self.path, self.path.with_name(f"{self.path.name}-wal"))
        return tuple((log.stat().st_mtime_ns, log.stat().st_size) for log in logs if log.exists())

    def _connect(self) -> sqlite3.Connection:
        uri = f"{self.path.resolve().as_uri()}?mode=ro{'&immutable=1' if self.is_fixed else ''}"
        # One thread at a time uses it, but not always the same one.
        return sqlite3.connect(uri, uri=True, timeout=30, check_same_thread=False)
