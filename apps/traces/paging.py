"""A stretch of a long list of traces or grades, newest first, without ever counting it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from django.db.models import F, Model, QuerySet

from apps.accounts.numerals import number

PAGE_SIZE = 50
# So many of the newest rows are looked through before an index is asked that cannot say which
# of its finds are newest: for what is common that would mean to sort half the table.
WINDOW = 10_000
M = TypeVar("M", bound=Model)


class Page(NamedTuple, Generic[M]):
    """``older`` is where the next stretch begins, None at the end."""

    rows: Sequence[M]
    older: int | None
    is_first: bool


def page(found: QuerySet[M], cursor: str, *, is_unordered: bool = False) -> Page[M]:
    """The rows before the number ``cursor``, or the newest."""
    newest = found.order_by("-pk")
    before = number(cursor)
    if before is not None:
        newest = newest.filter(pk__lt=before)
    rows = _near(newest, before) if is_unordered else []
    if is_unordered and len(rows) <= PAGE_SIZE:
        # What fits is rare. Sorting by a sum keeps PostgreSQL from walking the whole table
        # backwards in the hope to meet it soon.
        newest = newest.order_by((F("pk") + 0).desc())
    if len(rows) <= PAGE_SIZE:
        rows = [*newest[: PAGE_SIZE + 1]]
    older = rows[PAGE_SIZE - 1].pk if len(rows) > PAGE_SIZE else None
    return Page(rows[:PAGE_SIZE], older, before is None)


def _near(newest: QuerySet[M], before: int | None) -> Sequence[M]:
    """What fits among the nearest rows."""
    if before is None:
        last = newest.model._default_manager.order_by("-pk").values_list("pk", flat=True).first()
        before = (last or 0) + 1
    return [*newest.filter(pk__gte=before - WINDOW)[: PAGE_SIZE + 1]]
