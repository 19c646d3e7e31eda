"""What belongs to no room: search over all of them, and what each kind of error means."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest
from ninja import Field, Query, Schema

from apps.accounts.auth import user_in
from apps.accounts.models import Scope
from apps.automation.paging import Page, Paging, slice_page
from apps.automation.rest import Room
from kosweb import search
from kosweb.problems import KINDS, TYPES_AT

router = Room("account", reading=Scope.ACCOUNT, writing=Scope.ACCOUNT)
SECONDS = 2.0


class SearchWanted(Paging):
    q: str = Field(min_length=1, max_length=search.LONGEST)


class HitOut(Schema):
    """Something that was found; `url` is its page in the console."""

    kind: str
    title: str
    note: str
    url: str


class ProblemKind(Schema):
    type: str
    meaning: str


@router.get("search", response=Page[HitOut], summary="Find anything that I may see")
def find(request: HttpRequest, wanted: Query[SearchWanted]) -> dict[str, Any]:
    words = " ".join(wanted.q.split())
    found = search.find(user_in(request), words, limit=wanted.limit, seconds=SECONDS)
    hits = [hit for _, group in found.groups for hit in group]
    return slice_page(hits, cursor=wanted.cursor, limit=wanted.limit, key="search")


@router.get("problems/", response=list[ProblemKind], auth=None, summary="Every kind of error")
def list_problems(request: HttpRequest) -> list[dict[str, str]]:
    return [{"type": f"{TYPES_AT}{kind}", "meaning": text} for kind, text in KINDS.items()]


@router.get("problems/{slug:kind}", response=ProblemKind, auth=None, summary="A kind of error")
def get_problem(request: HttpRequest, kind: str) -> dict[str, str]:
    """What the `type` of a problem leads to."""
    if kind not in KINDS:
        raise Http404
    return {"type": f"{TYPES_AT}{kind}", "meaning": KINDS[kind]}
