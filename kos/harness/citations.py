"""The sources of a question (S1, S2, ...) and what the answer cites of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import NamedTuple

from kos.harness.events import Citation
from kos.messages import Source
from kos.tools.base import Record
from kos.tools.desk import canonical, urls_in

# [S3], [S1, S2], [S1; 4]
_CITED = re.compile(r"[ \t]?\[(S\d+(?:\s*[,;]\s*S?\d+)*)\]")
_PART = re.compile(r"\d+")


@dataclass
class SourceBook:
    """What was found for one question. Numbers are given once and never again.

    A sub-agent reads from a book of its own (``page``) that takes its numbers from the same
    row, so a number means one source in the whole question; ``seen`` are those that the
    reader of this book was shown.
    """

    seen: dict[str, Source] = field(default_factory=dict)
    _all: dict[str, Source] = field(default_factory=dict)

    @classmethod
    def open(cls, earlier: Iterable[Source] = ()) -> SourceBook:
        """A book that goes on after the sources of earlier questions."""
        sources = {source.id: source for source in earlier}
        return cls(dict(sources), dict(sources))

    def page(self) -> SourceBook:
        """A book for another reader: the same numbers, nothing seen yet."""
        return SourceBook({}, self._all)

    @property
    def every(self) -> tuple[Source, ...]:
        """All sources of the question, whoever saw them, by number."""
        return tuple(sorted(self._all.values(), key=lambda source: _number(source.id)))

    def add(self, record: Record) -> Source:
        """Give a record its number; the same record keeps the one it has."""
        text = record.text or "\n\n".join(f"{k}\n{v}" for k, v in record.sections.items())
        provenance = {name: str(value) for name, value in asdict(record.provenance).items()}
        source = Source("", record.title, record.url, text, provenance)
        for known in self._all.values():
            if _is_same(known, source):
                self.seen[known.id] = known
                return known
        number = max((_number(name) for name in self._all), default=0) + 1
        source = replace(source, id=f"S{number}")
        self._all[source.id] = self.seen[source.id] = source
        return source

    def find(self, source_id: str) -> Source | None:
        """A source by its number, whoever saw it."""
        return self._all.get(source_id)

    def show(self, ids: Iterable[str]) -> None:
        """The reader of this book was shown these; unknown ones are passed over."""
        for name in ids:
            if name in self._all:
                self.seen[name] = self._all[name]


class Checked(NamedTuple):
    """An answer without citations of what nobody found, what it cites, and its flags:
    ``unknown_citation``, ``unsupported_url``.
    """

    answer: str
    citations: tuple[Citation, ...]
    flags: tuple[str, ...]


def check(answer: str, book: SourceBook, known_urls: Iterable[str] = ()) -> Checked:
    """Hold the answer's citations and URLs against what was seen.

    ``known_urls`` occurred in the question or in a result.
    """
    unknown: list[str] = []

    def keep_known(match: re.Match[str]) -> str:
        ids = ids_of(match.group(1))
        kept = [name for name in ids if name in book.seen]
        unknown.extend(name for name in ids if name not in book.seen)
        if len(kept) == len(ids):
            return match.group()
        lead = match.group()[: match.start(1) - match.start() - 1]
        return f"{lead}[{', '.join(kept)}]" if kept else ""

    clean = _CITED.sub(keep_known, answer)
    flags = ["unknown_citation"] if unknown else []
    if _unsupported(clean, [*known_urls, *(source.url for source in book.seen.values())]):
        flags.append("unsupported_url")
    return Checked(clean, citations_of(clean, book), tuple(flags))


def citations_of(answer: str, book: SourceBook) -> tuple[Citation, ...]:
    """What the answer cites, numbered in the order of its first mention."""
    uses = Counter(cited(answer))
    found: list[Citation] = []
    for name, num_uses in uses.items():
        source = book.seen.get(name)
        if source is not None:
            place = len(found) + 1
            found.append(
                Citation(place, name, source.title, source.url, source.provenance, num_uses)
            )
    return tuple(found)


def cited(text: str) -> list[str]:
    """The ids that ``text`` cites, in order, as often as it does."""
    return [name for match in _CITED.finditer(text) for name in ids_of(match.group(1))]


def ids_of(inside: str) -> list[str]:
    """The ids between two brackets: "S1, S2" or "S1; 2"."""
    return [f"S{int(number)}" for number in _PART.findall(inside)]


def without_citations(text: str) -> str:
    """``text`` as one reads it aloud."""
    return _CITED.sub("", text)


def _unsupported(answer: str, known: Iterable[str]) -> bool:
    supported = {_plain(url) for url in known}
    return any(_plain(url) not in supported for url in urls_in(answer))


def _plain(url: str) -> str:
    return (canonical(url) or url).rstrip("/")


def _is_same(known: Source, fresh: Source) -> bool:
    return (known.url, known.title, known.text) == (fresh.url, fresh.title, fresh.text)


def _number(source_id: str) -> int:
    return int(source_id.removeprefix("S"))
