"""Lists a page at a time, from a place and not from a number: what is new shifts nothing.

A cursor says which row was the last, signed, so that nobody reads more into it than a place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import reduce
from operator import attrgetter
from typing import Any, Generic, TypeVar

from django.core import signing
from django.db.models import Q, QuerySet
from ninja import Field, Schema
from ninja.errors import ValidationError

MOST = 200
SALT = "kos.cursor"
T = TypeVar("T")


class Paging(Schema):
    """What every list takes. Filters of a list inherit it."""

    cursor: str = Field(
        "",
        max_length=1000,
        description="`next` of the page before; leave it out for the first page.",
    )
    limit: int = Field(50, ge=1, le=MOST, description="How many items at most.")


class Page(Schema, Generic[T]):
    """Some items of a list, and the cursor of those that follow; null after the last."""

    items: list[T]
    next: str | None = None

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """``RunPage`` and not ``Page[RunOut]``: generated clients name a class by it."""
        return f"{params[0].__name__.removesuffix('Out')}Page"


def page(
    queryset: QuerySet[Any], *, cursor: str, limit: int, key: str | Sequence[str] = "-pk"
) -> dict[str, Any]:
    """The items after ``cursor`` in the order of ``key``: fields that are never null.

    The primary key decides between equals. Raises ninja's ValidationError (422) for a cursor
    that this list did not give.
    """
    keys = [key] if isinstance(key, str) else list(key)
    if keys[-1] not in ("pk", "-pk"):
        keys.append("-pk" if keys[-1].startswith("-") else "pk")
    if cursor:
        queryset = queryset.filter(after(keys, _read(cursor, keys)))
    found = list(queryset.order_by(*keys)[: limit + 1])
    rest = found[limit:]
    items = found[:limit]
    return {"items": items, "next": _write(keys, items[-1]) if rest else None}


def slice_page(
    items: Sequence[Any] | QuerySet[Any], *, cursor: str, limit: int, key: str = "list"
) -> dict[str, Any]:
    """The same of a list that has no key to go by: the cursor holds a position."""
    start = int(_read(cursor, [key])[0]) if cursor else 0
    # One more than is shown: whether there is one tells whether the list goes on.
    found = list(items[start : start + limit + 1])
    following = [start + limit] if len(found) > limit else None
    return {
        "items": found[:limit],
        "next": signing.dumps(following, salt=f"{SALT}:{key}") if following else None,
    }


def shown(found: dict[str, Any], show: Callable[[Any], T]) -> dict[str, Any]:
    """The same page, with each item as ``show`` makes it."""
    return {"items": [show(item) for item in found["items"]], "next": found["next"]}


def after(keys: Sequence[str], values: Sequence[Any]) -> Q:
    """Rows behind ``values`` in the order of ``keys``: fields that are never null, ``-`` downwards.

    Behind is who is larger in the first key, or equal there and larger in the next.
    """
    choices = []
    for place, name in enumerate(keys):
        equal = {one.removeprefix("-"): values[i] for i, one in enumerate(keys[:place])}
        choices.append(Q(**equal, **{_beyond(name): values[place]}))
    behind = reduce(lambda one, other: one | other, choices)
    # The plain bound lets PostgreSQL start in the index: of an "or" alone it would read from the
    # top.
    return behind if len(keys) == 1 else Q(**{f"{_beyond(keys[0])}e": values[0]}) & behind


def _beyond(key: str) -> str:
    return f"{key.removeprefix('-')}__{'lt' if key.startswith('-') else 'gt'}"


def _write(keys: list[str], item: Any) -> str:
    values = [_plain(attrgetter(name.removeprefix("-").replace("__", "."))(item)) for name in keys]
    return signing.dumps(values, salt=f"{SALT}:{','.join(keys)}")


def _read(cursor: str, keys: list[str]) -> list[Any]:
    try:
        values = signing.loads(cursor, salt=f"{SALT}:{','.join(keys)}")
    except (signing.BadSignature, ValueError) as error:
        raise wrong_cursor() from error
    return list(values)


def wrong_cursor() -> ValidationError:
    """What a list says to a cursor that it did not give."""
    return ValidationError(
        [
            {
                "type": "cursor",
                "loc": ("query", "cursor"),
                "msg": "this list gave no such cursor; use `next` of the page before, with the"
                " same order",
            }
        ]
    )


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, datetime | date | Decimal) else value
