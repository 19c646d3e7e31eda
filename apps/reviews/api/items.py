"""Items: taken, judged, handed in, settled.

A blind item tells the grader's verdicts to nobody who has not handed in theirs.
"""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Schema, Status
from ninja.errors import HttpError

from apps.accounts.auth import require_reader, require_reviewer
from apps.accounts.models import User
from apps.automation.paging import Page, Paging, page
from apps.automation.rest import In
from apps.reviews import deciding, pages, services
from apps.reviews.api.room import find, router
from apps.reviews.models import Item, Queue
from apps.reviews.services import Said
from apps.traces.models import Grade

MOST_VERDICTS = 500
BY_GRADE: dict[str, Any] = {"propertyNames": {"pattern": "^[1-9][0-9]{0,17}$"}}


class VerdictIn(In):
    met: Literal["met", "not_met", "unsure"] | None = Field(description="null clears it")
    note: str = Field("", max_length=20_000)
    quote: str = Field("", max_length=20_000, description="Words of the answer that decide it.")


class ReviewIn(In):
    verdicts: dict[int, VerdictIn] = Field(
        max_length=MOST_VERDICTS,
        description="By grade id; one for every rubric item.",
        json_schema_extra=BY_GRADE,
    )
    overall: Literal["", "good", "poor", "unsafe"] = ""
    note: str = Field("", max_length=20_000)
    is_flagged: bool = False


class SettleIn(In):
    verdicts: dict[int, VerdictIn] = Field(max_length=MOST_VERDICTS, json_schema_extra=BY_GRADE)
    note: str = Field("", max_length=20_000)


class SkipIn(In):
    note: str = Field("", max_length=20_000)


class AcceptIn(In):
    accept: bool = Field(description="false keeps the grader's verdicts.")


class AcceptedOut(Schema):
    overridden: int


class ItemRow(Schema):
    id: int
    queue: int = Field(alias="queue_id")
    trace: int = Field(alias="trace_id")
    position: int
    status: str
    reasons: list[Any] = Field(description="Why it is in.")


class ItemsWanted(Paging):
    status: Literal["", "open", "proposed", "disputed", "done"] = ""


class ItemLine(Schema):
    grade: int
    key: str
    text: str
    points: float
    verdict: str
    grader: str | None = Field(description="null while the item is blind")
    grader_met: bool | None
    grader_note: str | None


class ItemOut(Schema):
    id: int
    queue: int
    status: str
    is_revealed: bool
    messages: list[dict[str, Any]]
    answer: str
    lines: list[ItemLine]


@router.get("/{int:pk}/items", response=Page[ItemRow], summary="The items of a queue")
def list_items(request: HttpRequest, pk: int, wanted: Query[ItemsWanted]) -> dict[str, Any]:
    user = require_reader(request)
    found = find(request, pk).items.all()
    if not user.is_admin:
        found = found.filter(only_for=None) | found.filter(only_for=user)
    if wanted.status:
        found = found.filter(status=wanted.status)
    return page(found, cursor=wanted.cursor, limit=wanted.limit, key=("position", "pk"))


@router.post("/{int:pk}/next", response={200: ItemOut, 204: None}, summary="Take the next item")
def take_next(request: HttpRequest, pk: int) -> Status[Any]:
    """For five minutes; 204 when nothing is left."""
    user = require_reviewer(request)
    found = services.claim_next(find(request, pk), user)
    return Status(204, None) if found is None else Status(200, _out(found, user))


@router.get("/items/{int:pk}", response=ItemOut, summary="One item")
def get_item(request: HttpRequest, pk: int) -> ItemOut:
    user = require_reader(request)
    return _out(find_item(user, pk), user)


@router.post(
    "/items/{int:pk}/claim", response={204: None}, url_name="renew_claim", summary="Keep an item"
)
def renew_claim(request: HttpRequest, pk: int) -> Status[None]:
    """For five more minutes."""
    user = require_reviewer(request)
    if not services.claim(find_item(user, pk), user):
        raise HttpError(409, "somebody else has this item, or it is done")
    return Status(204, None)


@router.post("/items/{int:pk}/release", response={204: None}, summary="Give an item back")
def release(request: HttpRequest, pk: int) -> Status[None]:
    user = require_reviewer(request)
    services.release(find_item(user, pk), user)
    return Status(204, None)


@router.post("/items/{int:pk}/skip", response={204: None}, summary="Leave an item to others")
def skip(request: HttpRequest, pk: int, body: SkipIn) -> Status[None]:
    """The draft's verdicts go; the reason stays."""
    user = require_reviewer(request)
    services.skip(find_item(user, pk), user, body.note)
    return Status(204, None)


@router.put(
    "/items/{int:pk}/verdicts/{int:grade_pk}",
    response={204: None},
    url_name="put_verdict",
    summary="Keep one verdict of a draft",
)
def put_verdict(request: HttpRequest, pk: int, grade_pk: int, body: VerdictIn) -> Status[None]:
    """Or clear it; the claim lasts on."""
    user = require_reviewer(request)
    item = find_item(user, pk)
    grade = get_object_or_404(Grade, pk=grade_pk, trace=item.trace_id)
    said = None if body.met is None else Said(body.met, body.note, body.quote)
    services.keep_verdict(item, user, grade, said)
    return Status(204, None)


@router.post("/items/{int:pk}/review", response=ItemOut, summary="Hand in a review")
def submit(request: HttpRequest, pk: int, body: ReviewIn) -> ItemOut:
    """The reply shows what the grader had said."""
    user = require_reviewer(request)
    services.submit(
        find_item(user, pk),
        user,
        _said(body.verdicts),
        overall=body.overall,
        note=body.note,
        is_flagged=body.is_flagged,
    )
    return _out(find_item(user, pk), user)


@router.post("/items/{int:pk}/settle", response=ItemOut, summary="Settle an item in dispute")
def settle(request: HttpRequest, pk: int, body: SettleIn) -> ItemOut:
    """Who reviewed it cannot; every rubric item is met or not met."""
    user = require_reviewer(request)
    services.adjudicate(find_item(user, pk), user, _said(body.verdicts), note=body.note)
    return _out(find_item(user, pk), user)


@router.post("/items/{int:pk}/accept", response=AcceptedOut, summary="Let corrections count")
def accept(request: HttpRequest, pk: int, body: AcceptIn) -> dict[str, int]:
    """Those that all reviewers of the item agree on."""
    item = find_item(require_reviewer(request), pk)
    if not body.accept:
        deciding.reject_proposed(item)
        return {"overridden": 0}
    return {"overridden": deciding.accept_proposed(item)}


def _said(verdicts: dict[int, VerdictIn]) -> dict[int, Said]:
    return {
        grade: Said(one.met, one.note, one.quote)
        for grade, one in verdicts.items()
        if one.met is not None
    }


def find_item(user: User, pk: int) -> Item:
    """An item that the user may see, or 404."""
    items = Item.objects.select_related("queue", "trace", "claimed_by", "only_for")
    found = get_object_or_404(items, pk=pk, queue__in=Queue.objects.visible_to(user))
    if found.only_for is not None and found.only_for != user:
        raise HttpError(404, "no such item")
    return found


def _out(item: Item, user: User) -> ItemOut:
    shown = pages.item_page(item, user)
    is_revealed = shown["is_revealed"]
    return ItemOut(
        id=item.pk,
        queue=item.queue_id,
        status=item.status,
        is_revealed=is_revealed,
        messages=item.trace.messages,
        answer=item.trace.answer,
        lines=[
            ItemLine(
                grade=line.grade.pk,
                key=line.grade.key,
                text=line.grade.text,
                points=line.grade.points,
                verdict=line.said.met,
                grader=line.grade.grader if is_revealed else None,
                grader_met=line.grade.met if is_revealed else None,
                grader_note=line.grade.note if is_revealed else None,
            )
            for line in shown["lines"]
        ],
    )
