"""From what somebody types to what FTS5 is asked.

A query becomes terms. A term is one word, or several that a name table knows as one thing
("heart attack"), with at most six other ways to say it. All terms are asked for first, then
all but one, then any.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from kos.tools.corpus.sources.names import CAPITALS_ONLY, PLAIN

MAX_ALTERNATIVES = 6
MAX_WORDS = 24
LONGEST_NAME = 5
STOPWORDS = frozenset(
    """a about all an and any are at be by can do does for from have he her his how i in is it its
    me my of on or she should that the their there this to was what when where which who why will
    with without you your patient patients""".split()  # noqa: SIM905
)
# Only whole drugs and diseases of these sorts are searched under other names, in this order.
SORTS = ("abbreviation", "disease", "drug")


class Term(NamedTuple):
    """One thing asked for: its own words, and other names of it."""

    words: tuple[str, ...]
    alternatives: tuple[str, ...] = ()
    is_acronym: bool = False  # then only what it stands for is searched: "MI" is also a stem


def words_of(text: str) -> list[str]:
    """The words of ``text`` as the index cuts them, in their own case."""
    return re.findall(r"[^\W_]+", text)[:MAX_WORDS]


def terms_of(query: str, connection: sqlite3.Connection) -> list[Term]:
    """The query cut into terms, the longest known name first."""
    words = words_of(query)
    return list(_cut(words, connection)) or [Term((word,)) for word in words]


def _cut(words: Sequence[str], connection: sqlite3.Connection) -> Iterator[Term]:
    at = 0
    while at < len(words):
        for size in range(min(LONGEST_NAME, len(words) - at), 0, -1):
            part = words[at : at + size]
            term = _term(part, connection)
            if term.alternatives or size == 1:
                if term.alternatives or part[0].lower() not in STOPWORDS:
                    yield term
                at += size
                break


def _term(words: Sequence[str], connection: sqlite3.Connection) -> Term:
    """These words with their other names. Capitals tell ALL (the leukaemia) from all."""
    text = " ".join(words)
    found: list[str] = []
    is_acronym = False
    if text.lower() not in STOPWORDS or text.isupper():
        for sort in SORTS:
            for canonical, form in _meanings(text, sort, connection):
                is_acronym = is_acronym or form != PLAIN
                if sort == "abbreviation":
                    found.append(canonical)
                else:
                    found += _siblings(canonical, sort, connection, than=words)
    alternatives = distinct(found, than=words)[:MAX_ALTERNATIVES]
    return Term(tuple(words), alternatives, is_acronym=is_acronym)


def _meanings(text: str, sort: str, connection: sqlite3.Connection) -> Iterator[tuple[str, int]]:
    rows = connection.execute(
        "SELECT canonical, form FROM names WHERE sort = ? AND name = ?", (sort, text.lower())
    )
    for canonical, form in rows.fetchall():
        if form != CAPITALS_ONLY or text.isupper():
            yield canonical, form


def _siblings(
    canonical: str, sort: str, connection: sqlite3.Connection, *, than: Sequence[str]
) -> list[str]:
    """All names of one disease or drug, the canonical one first.

    A name that has all the words of ``than`` and more is narrower ("carotid sinus syncope") and
    found by those words anyway.
    """
    rows = connection.execute(
        "SELECT name FROM names WHERE sort = ? AND canonical = ? ORDER BY length(name)",
        (sort, canonical),
    )
    names = [upright(name) for name in (canonical, *(name for (name,) in rows))]
    return [name for name in names if not _shape(than) < _shape(words_of(name))]


def upright(name: str) -> str:
    """MeSH's inverted heading in speaking order: "stroke, acute" is "acute stroke"."""
    head, comma, tail = name.partition(", ")
    return f"{tail} {head}" if comma and ", " not in tail else name


def distinct(names: Iterable[str], *, than: Sequence[str]) -> tuple[str, ...]:
    """``names`` in their order, without those that only repeat words in another form."""
    seen = {_shape(than)}
    kept = []
    for name in names:
        shape = _shape(words_of(name))
        if shape and shape not in seen:
            seen.add(shape)
            kept.append(name)
    return tuple(kept)


def _shape(words: Iterable[str]) -> frozenset[str]:
    return frozenset(word.lower().rstrip("s") for word in words)


def ladder(terms: Sequence[Term], *, is_named: bool = False) -> Iterator[str]:
    """FTS5 expressions from the strictest to the loosest: all terms, all but one, any.

    Any one term counts only in a title or another name: in a body it means little. With
    ``is_named`` that holds for all terms together as well.
    """
    groups = [_group(term) for term in terms]
    everything = " AND ".join(groups)
    yield f"{{title terms}} : ({everything})" if is_named else everything
    if len(groups) > 2:
        # The six longest terms at most: the number of subsets grows with their number.
        kept = sorted(groups, key=len, reverse=True)[:6]
        parts = [" AND ".join(kept[:at] + kept[at + 1 :]) for at in range(len(kept))]
        yield " OR ".join(f"({part})" for part in parts)
    if len(groups) > 1 or (len(terms[0].words) > 1 and not terms[0].is_acronym):
        whole = [term for term in terms if not term.is_acronym]
        loose = [_group(Term((word,))) for term in whole for word in term.words]
        loose += [_phrase(name) for term in terms for name in term.alternatives]
        yield "{title terms} : (" + " OR ".join(loose) + ")"


def _group(term: Term) -> str:
    own = "(" + " AND ".join(f'"{word}"' for word in term.words) + ")"
    names = [_phrase(name) for name in term.alternatives]
    ways = names if term.is_acronym else [own, *names]
    return "(" + " OR ".join(ways) + ")"


def _phrase(name: str) -> str:
    return '"' + " ".join(words_of(name)) + '"'
