"""The kinds of things that pile up. Each room adds its own; only what may go is named by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from django.db import connection, models


class Total(NamedTuple):
    """How much there is of a kind; rows of tables are counted by the planner's estimate."""

    num: int
    size_bytes: int


class Candidate(NamedTuple):
    """Something that nothing needs any more.

    ``delete`` looks once more whether that still holds and returns the bytes it gave back.
    """

    name: str
    since: datetime
    size_bytes: int
    delete: Callable[[], int]
    url: str = ""


class Kind(NamedTuple):
    """A kind of things that pile up; ``loss`` says what is no longer possible without them."""

    name: str
    label: str
    loss: str
    total: Callable[[], Total]
    # Those that were over before a moment, or all, the oldest first.
    candidates: Callable[[datetime | None], Iterator[Candidate]]


KINDS: dict[str, Kind] = {}


def add(kind: Kind) -> None:
    """Let a room say what it piles up."""
    KINDS[kind.name] = kind


def table_total(*tables: type[models.Model]) -> Total:
    """Rows of the first, and what all take with their indexes, as the planner knows them."""
    names = [table._meta.db_table for table in tables]
    with connection.cursor() as cursor:
        cursor.execute(
            "select greatest(reltuples, 0)::bigint, pg_total_relation_size(oid)"
            " from unnest(%s::text[]) with ordinality as wanted (name, place)"
            " join pg_class on oid = wanted.name::regclass order by place",
            [names],
        )
        rows = cursor.fetchall()
    num = int(rows[0][0]) or tables[0]._default_manager.count()
    return Total(num, sum(int(size) for _, size in rows))


def row_bytes(total: Total) -> float:
    """What one row takes, about."""
    return total.size_bytes / max(1, total.num)


def size_of(place: Path) -> int:
    """Bytes of a file or of all files in a folder; what goes meanwhile counts for nothing."""
    files = place.rglob("*") if place.is_dir() else [place]
    size = 0
    for file in files:
        try:
            size += 0 if file.is_dir() else file.lstat().st_size
        except FileNotFoundError:
            continue
    return size
