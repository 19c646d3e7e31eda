"""The columns of the runs' list: what there is, what a person chose, and how each is headed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from django.contrib.sessions.backends.base import SessionBase
from django.http import QueryDict

SESSION = "runs:columns"


class Column(NamedTuple):
    """``sort`` is the word of the filters that sorts by it, where it can be sorted by."""

    name: str
    label: str
    sort: str = ""
    is_number: bool = False


COLUMNS = {
    column.name: column
    for column in (
        Column("status", "Status", "status"),
        Column("progress", "Progress"),
        Column("trend", "Trend"),
        Column("kind", "Kind", "kind"),
        Column("owner", "Owner", "owner"),
        Column("tags", "Tags"),
        Column("created", "Created", "created"),
        Column("started", "Started", "started"),
        Column("ended", "Ended", "ended"),
        Column("duration", "Duration", is_number=True),
        Column("dataset", "Dataset"),
        Column("base", "Base"),
        Column("worker", "Worker"),
        Column("attempt", "Attempts", is_number=True),
        Column("id", "#", "id", is_number=True),
    )
}
DEFAULT = ("status", "progress", "trend", "kind", "owner", "tags", "created")


class Heading(NamedTuple):
    """A column's head: where a click sorts, and which way it is sorted now."""

    column: Column
    sort: str
    way: str


def chosen(query: QueryDict, session: SessionBase) -> tuple[str, ...]:
    """The columns that the address asks for, else those the person keeps, else the usual ones."""
    asked = query.get("columns", "").split(",")
    return known(asked) or known(session.get(SESSION, ())) or DEFAULT


def keep(session: SessionBase, names: Iterable[str]) -> None:
    """Remember the choice; none chosen is the usual ones again."""
    found = known(names)
    if found and found != DEFAULT:
        session[SESSION] = [*found]
    else:
        session.pop(SESSION, None)


def known(names: Iterable[str]) -> tuple[str, ...]:
    """Those that there are, in the order of the table."""
    wanted = set(names)
    return tuple(name for name in COLUMNS if name in wanted)


def headings(names: Iterable[str], sort: str) -> list[Heading]:
    """The heads of a table sorted by ``sort``; a second click turns the order round."""
    return [_heading(COLUMNS[name], sort) for name in names]


def heading_of_name(sort: str) -> Heading:
    return _heading(Column("name", "Run", "name"), sort)


def _heading(column: Column, sort: str) -> Heading:
    # Unsorted is newest first.
    sort = sort or "-created"
    if not column.sort:
        return Heading(column, "", "")
    if sort == column.sort:
        return Heading(column, f"-{column.sort}", "ascending")
    if sort == f"-{column.sort}":
        return Heading(column, column.sort, "descending")
    # Newest and most first; words from a to z.
    is_up = column.sort in ("name", "status", "kind", "owner")
    return Heading(column, column.sort if is_up else f"-{column.sort}", "")
