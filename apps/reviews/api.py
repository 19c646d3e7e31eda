"""Reviews over REST: queues and their numbers, taking items, keeping and handing in verdicts.

A blind item tells the grader's verdicts to nobody who has not handed in theirs.
"""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Router, Schema
from ninja import Status as Answer
from ninja.errors import HttpError

from apps.accounts.auth import require_reader
from apps.accounts.models import User
from apps.reviews import agreement, pages, services
from apps.reviews.agreement import Row
from apps.reviews.models import Item, Queue
from apps.reviews.services import Said
from apps.traces.models import Grade

router = Router(tags=["reviews"])


class QueueOut(Schema):
    id: int
    name: str
    status: str
    overlap: int
    is_blind: bool
    num_items: int
    num_done: int
    num_waiting: int = Field(description="Items in dispute, or with corrections to accept.")


class VerdictIn(Schema):
    met: Literal["met", "not_met", "unsure"] | None = Field(description="null clears it")
    note: str = ""
    quote: str = Field("", description="Words of the answer that decide it.")


class ReviewIn(Schema):
    verdicts: dict[int, VerdictIn] = Field(description="By grade id; one for every rubric item.")
    overall: Literal["", "good", "poor", "unsafe"] = ""
    note: str = ""
    is_flagged: bool = False


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


@router.get("/", response=list[QueueOut])
def list_queues(request: HttpRequest) -> list[Any]:
    return [*pages.queues_for(require_reader(request))]


@router.post("/{int:pk}/next", response={200: ItemOut, 204: None})
def take_next(request: HttpRequest, pk: int) -> Answer[Any]:
    """Take the next item of a queue for five minutes; 204 when nothing is left."""
    user = _reviewer(request)
    found = services.claim_next(_queue(user, pk), user)
    return Answer(204, None) if found is None else Answer(200, _out(found, user))


@router.get("/items/{int:pk}", response=ItemOut)
def get_item(request: HttpRequest, pk: int) -> ItemOut:
    user = require_reader(request)
    return _out(_item(user, pk), user)


@router.post("/items/{int:pk}/claim", response={204: None}, url_name="renew_claim")
def renew_claim(request: HttpRequest, pk: int) -> Answer[None]:
    """Keep the item for five more minutes."""
    user = _reviewer(request)
    if not services.claim(_item(user, pk), user):
        raise HttpError(409, "somebody else has this item, or it is done")
    return Answer(204, None)


@router.put(
    "/items/{int:pk}/verdicts/{int:grade_pk}", response={204: None}, url_name="put_verdict"
)
def put_verdict(request: HttpRequest, pk: int, grade_pk: int, body: VerdictIn) -> Answer[None]:
    """Keep one verdict of a draft, or clear it; the claim lasts on."""
    user = _reviewer(request)
    item = _item(user, pk)
    grade = get_object_or_404(Grade, pk=grade_pk, trace=item.trace_id)
    said = None if body.met is None else Said(body.met, body.note, body.quote)
    services.keep_verdict(item, user, grade, said)
    return Answer(204, None)


@router.post("/items/{int:pk}/review", response=ItemOut)
def submit(request: HttpRequest, pk: int, body: ReviewIn) -> ItemOut:
    """Hand in a review; the answer shows what the grader had said."""
    user = _reviewer(request)
    item = _item(user, pk)
    said = {
        grade: Said(one.met, one.note, one.quote)
        for grade, one in body.verdicts.items()
        if one.met is not None
    }
    services.submit(
        item, user, said, overall=body.overall, note=body.note, is_flagged=body.is_flagged
    )
    return _out(_item(user, pk), user)


@router.get("/{int:pk}/agreement")
def get_agreement(request: HttpRequest, pk: int) -> dict[str, Any]:
    """Kappa, alpha and two-way tables: grader against people, people against each other."""
    found = agreement.of_queue(_queue(require_reader(request), pk))
    return {
        "num_reviews": found.num_reviews,
        "num_verdicts": found.num_verdicts,
        "num_unsure": found.num_unsure,
        "krippendorff_alpha": found.alpha,
        "grader": _row(found.judge),
        "macro_f1": found.macro_f1 and found.macro_f1._asdict(),
        "balanced_accuracy": found.balanced and found.balanced._asdict(),
        "by_category": [_row(row) for row in found.by_category],
        "by_item": [_row(row) for row in found.by_item],
        "people": [_row(row) for row in found.people],
        "steadiness": [_row(row) for row in found.steadiness],
    }


def _row(row: Row) -> dict[str, Any]:
    table = row.table
    return {
        "name": row.name,
        "both": table.both,
        "first_only": table.first_only,
        "second_only": table.second_only,
        "neither": table.neither,
        "percent": table.percent,
        "kappa": row.kappa and row.kappa._asdict(),
    }


def _reviewer(request: HttpRequest) -> User:
    user = request.user
    if not isinstance(user, User) or not user.is_reviewer:
        raise HttpError(403, "this needs the role reviewer")
    return user


def _queue(user: User, pk: int) -> Queue:
    return get_object_or_404(Queue.objects.visible_to(user), pk=pk)


def _item(user: User, pk: int) -> Item:
    items = Item.objects.select_related("queue", "trace", "claimed_by", "only_for")
    found = get_object_or_404(items, pk=pk, queue__in=Queue.objects.visible_to(user))
    if found.only_for is not None and found.only_for != user:
        raise HttpError(404, "no such item")
    return found


def _out(item: Item, user: User) -> ItemOut:
    page = pages.item_page(item, user)
    is_revealed = page["is_revealed"]
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
            for line in page["lines"]
        ],
    )
