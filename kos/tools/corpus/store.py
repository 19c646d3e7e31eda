"""The file a corpus lies in: SQLite with FTS5, one file of embedded data and one an import.

A document is a page of text with a kind and a key that is unique within it. Its ``body`` is
light Markdown whose ``## heading`` lines part it into sections. ``title``, ``terms`` (its other
names) and ``body`` are searched; ``notes`` are only shown.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

SCHEMA_VERSION = 1
ADDRESS = "kos://corpus/"

SCHEMA = """
CREATE TABLE IF NOT EXISTS collections (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, title TEXT NOT NULL, mode TEXT NOT NULL,
    version TEXT NOT NULL, made TEXT NOT NULL, licence TEXT NOT NULL, attribution TEXT NOT NULL,
    home TEXT NOT NULL, note TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS docs (
    id INTEGER PRIMARY KEY, collection INTEGER NOT NULL REFERENCES collections(id),
    kind TEXT NOT NULL, key TEXT NOT NULL, title TEXT NOT NULL, terms TEXT NOT NULL,
    body TEXT NOT NULL, notes TEXT NOT NULL, url TEXT NOT NULL, source_url TEXT NOT NULL,
    version TEXT NOT NULL, batch TEXT NOT NULL, UNIQUE (kind, key)
);
CREATE INDEX IF NOT EXISTS docs_url ON docs (url) WHERE url != '';
CREATE INDEX IF NOT EXISTS docs_source_url ON docs (source_url) WHERE source_url != '';
CREATE INDEX IF NOT EXISTS docs_collection ON docs (collection, kind);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (
    title, terms, body, content='docs', content_rowid='id',
    tokenize='porter unicode61 remove_diacritics 2'
);
CREATE TRIGGER IF NOT EXISTS docs_insert AFTER INSERT ON docs BEGIN
    INSERT INTO words (rowid, title, terms, body)
    VALUES (new.id, new.title, new.terms, new.body);
END;
CREATE TRIGGER IF NOT EXISTS docs_delete AFTER DELETE ON docs BEGIN
    INSERT INTO words (words, rowid, title, terms, body)
    VALUES ('delete', old.id, old.title, old.terms, old.body);
END;
CREATE TABLE IF NOT EXISTS names (
    sort TEXT NOT NULL, name TEXT NOT NULL, canonical TEXT NOT NULL, form INTEGER NOT NULL,
    PRIMARY KEY (sort, name, canonical)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS names_canonical ON names (sort, canonical);
CREATE TABLE IF NOT EXISTS codes (
    code TEXT PRIMARY KEY, base TEXT NOT NULL, suffix TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    digest TEXT PRIMARY KEY, name TEXT NOT NULL, num_entries INTEGER NOT NULL,
    num_kept INTEGER NOT NULL, finished TEXT NOT NULL
);
"""

INSERT = (
    "INSERT INTO docs"
    " (collection, kind, key, title, terms, body, notes, url, source_url, version, batch)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


@dataclass(frozen=True)
class Collection:
    """What documents came together: one package's data, or one import.

    ``made`` is when it was built or imported (ISO 8601, UTC), ``home`` the address of its
    origin, ``note`` what a reader must know of it.
    """

    name: str
    title: str
    mode: Literal["embedded", "imported"]
    version: str
    licence: str
    attribution: str
    home: str = ""
    note: str = ""
    made: str = ""


@dataclass(frozen=True)
class Doc:
    """One document on its way in. ``url`` defaults to ``kos://corpus/<kind>/<key>``."""

    kind: str
    key: str
    title: str
    body: str
    terms: tuple[str, ...] = ()
    notes: str = ""
    url: str = ""
    source_url: str = ""
    version: str = ""


def address_of(kind: str, key: str) -> str:
    """The address of a document that has none on the web."""
    return f"{ADDRESS}{kind}/{key}"


def create(path: Path) -> sqlite3.Connection:
    """Open ``path`` for writing, with the schema in place."""
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    connection.executescript(SCHEMA)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    return connection


def save_collection(connection: sqlite3.Connection, collection: Collection) -> int:
    """Write or renew the row of a collection; returns its id."""
    row = (
        collection.name,
        collection.title,
        collection.mode,
        collection.version,
        collection.made,
        collection.licence,
        collection.attribution,
        collection.home,
        collection.note,
    )
    connection.execute(
        "INSERT INTO collections"
        " (name, title, mode, version, made, licence, attribution, home, note)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET title = excluded.title, mode = excluded.mode,"
        " version = excluded.version, made = excluded.made, licence = excluded.licence,"
        " attribution = excluded.attribution, home = excluded.home, note = excluded.note",
        row,
    )
    found = connection.execute("SELECT id FROM collections WHERE name = ?", row[:1]).fetchone()
    return int(found[0])


def add(
    connection: sqlite3.Connection, collection: int, docs: Iterable[Doc], *, batch: str = ""
) -> int:
    """Write documents, each in place of an earlier one of its kind and key; returns how many.

    The caller holds the transaction. ``batch`` names the import, so that what it did not bring
    again can be found.
    """
    rows = [_row(collection, doc, batch) for doc in docs]
    if batch:
        keys = [(row[1], row[2]) for row in rows]
        connection.executemany("DELETE FROM docs WHERE kind = ? AND key = ?", keys)
    connection.executemany(INSERT, rows)
    return len(rows)


def add_names(connection: sqlite3.Connection, names: Iterable[tuple[str, str, str, int]]) -> None:
    """Write what names stand for: (sort, name in lower case, canonical name, form).

    The form is 0 for a plain name, 1 for an acronym and 2 for one only when in capitals. Of two
    rows with the same sort, name and canonical name the first stays.
    """
    connection.executemany("INSERT OR IGNORE INTO names VALUES (?, ?, ?, ?)", names)


def add_codes(connection: sqlite3.Connection, codes: Iterable[tuple[str, str, str]]) -> None:
    """Write codes that stand in no document of their own: (code, key of its entry, what it adds)."""
    connection.executemany("INSERT OR IGNORE INTO codes VALUES (?, ?, ?)", codes)


def _row(collection: int, doc: Doc, batch: str) -> tuple[int | str, ...]:
    return (
        collection,
        doc.kind,
        doc.key,
        doc.title,
        "\n".join(doc.terms),
        doc.body,
        doc.notes,
        doc.url,
        doc.source_url,
        doc.version,
        batch,
    )
