"""Traces over REST: reading alone; they are written by runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema

from apps.accounts.auth import require_reader
from apps.traces.forms import TraceFilter
from apps.traces.models import Trace

router = Router(tags=["traces"])
MAX_ROWS = 200


class GradeOut(Schema):
    key: str
    text: str
    points: float
    met: bool | None
    grader: str
    note: str


class TraceRow(Schema):
    id: int
    run_id: int
    model: str
    step: int
    example_id: str
    sample: int
    score: float | None
    reward: float | None
    num_tokens: int
    num_answer_tokens: int
    flags: list[str]
    created: datetime


class TraceOut(TraceRow):
    messages: list[dict[str, Any]]
    answer: str
    thinking: str
    stop_reason: str
    components: dict[str, float]
    error: str
    is_restricted: bool
    grades: list[GradeOut]


class Page(Schema):
    """Newest first; ``next`` is the ``before`` of the page that follows, or null."""

    items: list[TraceRow]
    next: int | None


class Filters(Schema):
    run: int | None = None
    model: str = ""
    flag: str = ""
    low: float | None = None
    high: float | None = None


@router.get("/", response=Page)
def list_traces(
    request: HttpRequest,
    filters: Query[Filters],
    before: int | None = None,
    limit: int = 50,
) -> dict[str, Any]:
    visible = Trace.objects.visible_to(require_reader(request)).order_by("-pk")
    traces = TraceFilter(filters.dict(exclude_none=True)).narrow(visible)
    if before is not None:
        traces = traces.filter(pk__lt=before)
    size = max(1, min(limit, MAX_ROWS))
    rows = list(traces[: size + 1])
    return {"items": rows[:size], "next": rows[size - 1].pk if len(rows) > size else None}


@router.get("/{pk}/", response=TraceOut)
def get_trace(request: HttpRequest, pk: int) -> Trace:
    visible = Trace.objects.visible_to(require_reader(request)).prefetch_related("grades")
    return get_object_or_404(visible, pk=pk)
