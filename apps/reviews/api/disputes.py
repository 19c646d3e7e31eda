"""What reviewers differ on, side by side, and corrections that wait to be accepted."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Field, Schema
from ninja.errors import HttpError

from apps.accounts.auth import require_reviewer
from apps.reviews import deciding, pages, services
from apps.reviews.api.items import find_item
from apps.reviews.api.room import router
from apps.reviews.models import Item
from apps.reviews.pages import Line


class VerdictOut(Schema):
    reviewer: str
    met: str
    note: str
    quote: str


class DisputeLine(Schema):
    grade: int
    key: str
    text: str
    points: float
    grader: str
    grader_met: bool | None
    grader_note: str
    is_disputed: bool = Field(description="Reviewers differ, or somebody is unsure.")
    verdicts: list[VerdictOut]


class CorrectionOut(Schema):
    """What all reviewers say and the verdict that counts does not."""

    grade: int
    met: bool
    by: str
    reason: str


class DisputeOut(Schema):
    id: int
    queue: int
    status: str
    can_settle: bool = Field(description="Who reviewed it cannot.")
    lines: list[DisputeLine]
    corrections: list[CorrectionOut]


@router.get(
    "/items/{int:pk}/verdicts",
    response={200: DisputeOut, 409: None},
    summary="All verdicts side by side",
)
def get_verdicts(request: HttpRequest, pk: int) -> dict[str, Any]:
    """The grader's among them: 409 while the item is open, so that reviews stay blind."""
    user = require_reviewer(request)
    item = find_item(user, pk)
    if item.status == Item.Status.OPEN:
        raise HttpError(409, "this item is open: its verdicts are shown when all reviews are in")
    disputed = deciding.disputed(item)
    lines = pages.settling_page(item)["lines"]
    is_disputed = item.status == Item.Status.DISPUTED
    return {
        "id": item.pk,
        "queue": item.queue_id,
        "status": item.status,
        "can_settle": is_disputed and services.may_adjudicate(item, user),
        "lines": [_line(line, is_disputed=line.grade.pk in disputed) for line in lines],
        "corrections": [
            {"grade": one.grade.pk, "met": one.met, "by": one.by.username, "reason": one.reason}
            for one in deciding.corrections(item)
        ],
    }


def _line(line: Line, *, is_disputed: bool) -> dict[str, Any]:
    grade = line.grade
    return {
        "grade": grade.pk,
        "key": grade.key,
        "text": grade.text,
        "points": grade.points,
        "grader": grade.grader,
        "grader_met": grade.met,
        "grader_note": grade.note,
        "is_disputed": is_disputed,
        "verdicts": [
            {
                "reviewer": one.review.reviewer.username,
                "met": one.met,
                "note": one.note,
                "quote": one.quote,
            }
            for one in line.others
        ],
    }
