"""The embedded file: built once from package data and our own, replaced whole."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

from kos.tools.corpus import store
from kos.tools.corpus.sources import icd10cm, names, open_medicine, samples

logger = logging.getLogger(__name__)

DISTRIBUTIONS = (
    icd10cm.DISTRIBUTION,
    open_medicine.DISTRIBUTION,
    names.DRUGS,
    names.DISEASES,
)
# Our own data, and what makes documents of all data.
OWN_FILES = ("data/*", "sources/*.py", "store.py", "build.py")
PREFIX = "embedded-"
HASTE = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -64000;
DROP TRIGGER docs_insert; DROP TRIGGER docs_delete;
"""

Reader = Callable[[], Iterable[store.Doc]]
SOURCES: tuple[tuple[store.Collection, tuple[Reader, ...]], ...] = (
    (
        open_medicine.COLLECTION,
        (
            open_medicine.read_guidelines,
            open_medicine.read_differentials,
            open_medicine.read_renal_doses,
            open_medicine.read_citations,
        ),
    ),
    (samples.CARDS, (samples.read_cards,)),
    (samples.LABELS, (samples.read_labels,)),
    (names.DRUG_COLLECTION, ()),
    (names.DISEASE_COLLECTION, ()),
)


def ensure(folder: Path, *, is_again: bool = False) -> Path:
    """The embedded file of the installed packages, built unless it stands.

    ``is_again`` builds it even so; readers that have the old one open keep it until they end.
    """
    path = folder / f"{PREFIX}{version()}.sqlite3"
    if path.exists() and not is_again:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / "build.lock"):
        # Another process may have built it while this one waited.
        if is_again or not path.exists():
            build(path)
    return path


def build(path: Path) -> Path:
    """Build the file beside ``path`` and put it there whole; takes seconds.

    The caller holds the lock: other parts that lie there were left by a crash.
    """
    started = time.perf_counter()
    for left_over in path.parent.glob("*.part"):
        left_over.unlink()
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    connection = store.create(part)
    try:
        # A crash leaves only a part that nobody reads: no need to be safe on the way.
        connection.executescript(HASTE)
        connection.execute("BEGIN")
        _fill(connection)
        # Indexed in one go: a trigger for each document takes twice as long.
        connection.execute("INSERT INTO words (words) VALUES ('rebuild')")
        connection.execute("COMMIT")
        connection.execute("PRAGMA optimize")
    finally:
        connection.close()
    part.replace(path)
    _remove_older(path)
    logger.info("built the embedded corpus in %.1f s", time.perf_counter() - started)
    return path


@cache
def version() -> str:
    """Twelve hex digits over everything that the file is made from."""
    digest = hashlib.sha256()
    for distribution in DISTRIBUTIONS:
        digest.update(f"{distribution}=={metadata.version(distribution)}\n".encode())
    here = Path(__file__).parent
    for path in sorted(path for pattern in OWN_FILES for path in here.glob(pattern)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _fill(connection: sqlite3.Connection) -> None:
    made = datetime.now(UTC).isoformat(timespec="seconds")
    codes = store.save_collection(connection, replace(icd10cm.COLLECTION, made=made))
    entries = list(icd10cm.read_embedded())
    store.add(connection, codes, (entry.doc for entry in entries))
    store.add_codes(connection, (code for entry in entries for code in entry.extensions))
    for collection, readers in SOURCES:
        number = store.save_collection(connection, replace(collection, made=made))
        for read in readers:
            store.add(connection, number, read())
    # Sorted, as the table keeps them: rows go in one after the other, not here and there.
    store.add_names(connection, sorted(names.read_all()))


def _remove_older(path: Path) -> None:
    """Delete the files of earlier versions; readers that have one open keep it until they end."""
    for other in path.parent.glob(f"{PREFIX}*.sqlite3"):
        if other != path:
            other.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
