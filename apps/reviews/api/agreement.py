"""Who agrees with whom: in a queue, and a judge with everybody who reviewed what it graded."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Schema, Status

from apps.accounts.auth import require_engineer, require_reader
from apps.automation.paging import Page, Paging, page, shown
from apps.evals.models import Judge
from apps.reviews import agreement, exports, judging
from apps.reviews.agreement import Agreement, Row
from apps.reviews.api.room import find, router


class LabelSetRef(Schema):
    id: int
    name: str


class JudgeBeside(Schema):
    judge: int
    name: str
    num_labels: int = Field(description="Verdicts of people on items that it graded.")


@router.get("/{int:pk}/agreement", response=dict[str, Any], summary="Who agrees with whom")
def get_agreement(request: HttpRequest, pk: int) -> dict[str, Any]:
    """Kappa, alpha and two-way tables: grader against people, people against each other."""
    return _out(agreement.of_queue(find(request, pk)))


@router.post("/{int:pk}/labels", response={201: LabelSetRef}, summary="Keep the labels as a set")
def keep_labels(request: HttpRequest, pk: int) -> Status[Any]:
    """A label set to calibrate judges on; the same verdicts again give the same set."""
    user = require_engineer(request)
    return Status(201, exports.keep_labels(find(request, pk), by=user))


@router.get("/judges", response=Page[JudgeBeside], summary="Judges beside reviewers")
def list_judges(request: HttpRequest, wanted: Query[Paging]) -> dict[str, Any]:
    require_reader(request)
    found = page(Judge.objects.all(), cursor=wanted.cursor, limit=wanted.limit, key="name")
    graders = judging.labelled()
    return shown(found, lambda judge: _beside(judge, judging.num_labels(judge, graders)))


@router.get(
    "/judges/{int:pk}/agreement", response=dict[str, Any], summary="A judge beside reviewers"
)
def get_judge_agreement(request: HttpRequest, pk: int) -> dict[str, Any]:
    """Over all queues, on items it graded in any version of it."""
    require_reader(request)
    judge = get_object_or_404(Judge, pk=pk)
    return _out(agreement.of_verdicts(judging.labels_of(judge), seed=judge.pk))


def _beside(judge: Judge, num: int) -> JudgeBeside:
    return JudgeBeside(judge=judge.pk, name=judge.name, num_labels=num)


def _out(found: Agreement) -> dict[str, Any]:
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
