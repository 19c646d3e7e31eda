"""The corpus as the tools see it: search by kind, find by address, codes and drug names."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from kos.tools.base import Provenance, Record
from kos.tools.corpus import build, codes, drugs
from kos.tools.corpus.query import ladder, terms_of
from kos.tools.corpus.ranking import rank
from kos.tools.corpus.shelf import Hit, Holding, Shelf
from kos.tools.corpus.store import Collection

IMPORTS = "imports"
# How many candidates are ranked anew for each hit wanted.
WIDTH = 20
HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
# "any": all terms, else all but one, else any in a title. "all": nothing looser than all terms.
# "names": all terms, in the title or among the other names.
Strictness = Literal["any", "all", "names"]


class Corpus:
    """The files below one folder. Safe to use from many threads.

    The embedded file is built at the first question, in a few seconds, and again after an
    update of the packages it is made from. Files of imports are seen as soon as they are there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # By file, not by name: an import that was forgotten and made anew is another file.
        self._shelves: dict[tuple[Path, int], Shelf] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path) -> Corpus:
        """The corpus in the folder ``path``; nothing is read or built yet."""
        return cls(path)

    def prepare(self) -> Path:
        """Build the embedded file unless it stands; returns its path."""
        return build.ensure(self.folder)

    def search(
        self,
        kind: str | Sequence[str],
        query: str,
        k: int = 5,
        *,
        strictness: Strictness = "any",
    ) -> list[Record]:
        """The best ``k`` records, best first; the kind "" stands for all kinds."""
        kinds = _kinds(kind)
        with self._embedded().lend() as connection:
            terms = terms_of(query, connection)
        if not terms or k < 1:
            return []
        for rung, expression in enumerate(ladder(terms, is_named=strictness == "names")):
            if rung and strictness != "any":
                break
            found = self._match(kinds, expression, limit=k * WIDTH, rung=rung)
            if found:
                return [self._record(hit) for hit in rank(found, terms)[:k]]
        return []

    def find(self, url: str) -> Record | None:
        """The record at ``url``, or the one that was made from what lies there."""
        return next(
            (self._record(hit) for shelf in self._all() for hit in shelf.by_address(url)), None
        )

    def code(self, kind: str | Sequence[str], text: str) -> list[Record]:
        """The records of the codes that occur in ``text``, each before the codes below it."""
        found: dict[tuple[str, str], Hit] = {}
        for code in codes.codes_in(text):
            for shelf in self._all():
                for hit in codes.look_up(shelf, _kinds(kind), code):
                    found.setdefault((hit.kind, hit.key), hit)
        return [self._record(hit) for hit in found.values()]

    def drug(self, name: str) -> drugs.Drug | None:
        """Which drug goes by ``name``: brand, salt, foreign name or abbreviation."""
        with self._embedded().lend() as connection:
            return drugs.find(connection, name)

    def kinds(self) -> Mapping[str, int]:
        """How many records there are of each kind."""
        counts: dict[str, int] = {}
        for holding in self.holdings():
            if not holding.kind:
                continue
            counts[holding.kind] = counts.get(holding.kind, 0) + holding.num_docs
        return counts

    def holdings(self) -> list[Holding]:
        """Everything there is, by collection and kind."""
        return [holding for shelf in self._all() for holding in shelf.holdings()]

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            shelves, self._shelves = list(self._shelves.values()), {}
        for shelf in shelves:
            shelf.close()

    def _match(
        self, kinds: Sequence[str], expression: str, *, limit: int, rung: int
    ) -> list[tuple[Hit, Collection]]:
        return [
            (hit, hit.collection)
            for shelf in self._all()
            for hit in shelf.match(kinds, expression, limit=limit, rung=rung)
        ]

    def _record(self, hit: Hit) -> Record:
        text = "\n\n".join(part for part in (hit.body, hit.notes) if part)
        return Record(
            title=hit.title,
            url=hit.url,
            text=text,
            sections=sections_of(hit.body),
            score=hit.score,
            provenance=provenance_of(hit),
        )

    def _embedded(self) -> Shelf:
        return self._shelf(self.prepare(), is_fixed=True)

    def _all(self) -> list[Shelf]:
        """Imports first: at equal rank the newer and fuller text goes before the embedded one."""
        paths = sorted((self.folder / IMPORTS).glob("*.sqlite3"))
        return [*(self._shelf(path, is_fixed=False) for path in paths), self._embedded()]

    def _shelf(self, path: Path, *, is_fixed: bool) -> Shelf:
        key = (path, path.stat().st_ino)
        with self._lock:
            if key not in self._shelves:
                self._shelves[key] = Shelf(path, is_fixed)
            return self._shelves[key]


def provenance_of(hit: Hit) -> Provenance:
    """Where a document comes from."""
    collection = hit.collection
    return Provenance(
        provider=collection.title,
        mode=collection.mode,
        source_url=hit.source_url or collection.home,
        retrieved_at=collection.made,
        data_version=hit.version or collection.version,
        licence=collection.licence,
        attribution=collection.attribution,
    )


def sections_of(body: str) -> dict[str, str]:
    """The parts of ``body`` below its ``## `` headings, by heading."""
    parts = HEADING.split(body)
    return {
        name.strip(): text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def _kinds(kind: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(kind, str):
        return (kind,) if kind else ()
    return tuple(kind)
