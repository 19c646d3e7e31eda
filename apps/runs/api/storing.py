"""What takes room, what would go by the rules, and letting it go."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Schema

from apps.accounts.auth import require_admin
from apps.automation.paging import Page, Paging, shown, slice_page
from apps.runs.api.shapes import router
from apps.runs.storage import storing, tidying
from apps.runs.storage.tidying import Store, Tidied

NAMED = 100


class GoingOut(Schema):
    name: str
    size_bytes: int
    since: datetime
    why: str
    url: str = Field(description="Its page in the console, or nothing.")


class StoreOut(Schema):
    """One kind of things that pile up."""

    kind: str
    label: str
    loss: str = Field(description="What is no longer possible without it.")
    num: int = Field(description="How many there are; of rows an estimate.")
    size_bytes: int
    days: float | None = Field(description="So long it is kept; null: no limit.")
    gb: float | None = Field(description="So much is kept, in 10^9 bytes; null: no limit.")
    num_going: int
    going_bytes: int
    over_bytes: int = Field(description="Beyond the budget, but needed.")
    going: list[GoingOut] = Field(description=f"What would go first, {NAMED} at most.")


class TidiedOut(Schema):
    kind: str
    num: int
    size_bytes: int
    num_left: int = Field(description="What there was no time for; call again.")


@router.get("/storage", response=Page[StoreOut], summary="What takes room, and what would go")
def storage(request: HttpRequest, wanted: Query[Paging]) -> dict[str, Any]:
    """The dry run of `POST /api/runs/storage/tidy`, by `KOS_RETENTION`. For admins."""
    require_admin(request)
    found = slice_page(tidying.stores(), cursor=wanted.cursor, limit=wanted.limit, key="storage")
    return shown(found, _store)


@router.post("/storage/tidy", response=list[TidiedOut], summary="Delete what the rules let go")
def tidy(request: HttpRequest) -> list[dict[str, Any]]:
    """Works for 20 seconds at most. 409 while another process tidies up."""
    user = require_admin(request)
    return [_tidied(one) for one in tidying.tidy(user, seconds=storing.SECONDS)]


def _store(store: Store) -> dict[str, Any]:
    return {
        "kind": store.kind.name,
        "label": store.kind.label,
        "loss": store.kind.loss,
        "num": store.total.num,
        "size_bytes": store.total.size_bytes,
        "days": store.rule.days if store.rule else None,
        "gb": store.rule.gb if store.rule else None,
        "num_going": len(store.going),
        "going_bytes": store.going_bytes,
        "over_bytes": store.over_bytes,
        "going": [
            {
                "name": one.name,
                "size_bytes": one.size_bytes,
                "since": one.since,
                "why": why,
                "url": one.url,
            }
            for one, why in store.going[:NAMED]
        ],
    }


def _tidied(one: Tidied) -> dict[str, Any]:
    return {
        "kind": one.kind.name,
        "num": one.num,
        "size_bytes": one.size_bytes,
        "num_left": one.num_left,
    }
