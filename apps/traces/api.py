"""Traces over REST: reading alone; they are written by runs."""

from __future__ import annotations

from datetime import date, datetime
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
    tags: list[str]
    attempts: int
    is_cached: bool


class FlagOut(Schema):
    """What a reader said is wrong with the answer."""

    kind: str
    note: str
    created: datetime
    settled: datetime | None


class TraceRow(Schema):
    id: int
    run_id: int | None
    origin: str
    model: str
    step: int
    example_id: str
    sample: int
    score: float | None
    reward: float | None
    num_tokens: int
    num_answer_tokens: int
    seconds: float | None
    tool_names: list[str]
    flags: list[str]
    raised: list[FlagOut]
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
    raw: str
    turns: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    sources: list[dict[str, Any]]
    versions: dict[str, str]


class Page(Schema):
    """Newest first; ``next`` is the ``before`` of the page that follows, or null."""

    items: list[TraceRow]
    next: int | None


class Filters(Schema):
    q: str = ""
    origin: str = ""
    run: int | None = None
    model: str = ""
    example: str = ""
    flag: str = ""
    raised: str = ""
    tool: str = ""
    low: float | None = None
    high: float | None = None
    since: date | None = None
    until: date | None = None


@router.get("/", response=Page)
def list_traces(
    request: HttpRequest,
    filters: Query[Filters],
    before: int | None = None,
    limit: int = 50,
) -> dict[str, Any]:
    visible = Trace.objects.visible_to(require_reader(request)).rows().order_by("-pk")
    traces = TraceFilter(filters.dict(exclude_none=True)).narrow(visible)
    if before is not None:
        traces = traces.filter(pk__lt=before)
    size = max(1, min(limit, MAX_ROWS))
    rows = list(traces.prefetch_related("raised")[: size + 1])
    return {"items": rows[:size], "next": rows[size - 1].pk if len(rows) > size else None}


@router.get("/{pk}/", response=TraceOut)
def get_trace(request: HttpRequest, pk: int) -> Trace:
    visible = Trace.objects.visible_to(require_reader(request)).prefetch_related(
        "grades", "raised"
    )
    return get_object_or_404(visible, pk=pk)
