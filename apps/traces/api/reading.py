"""Traces as they are kept, and what readers say is wrong with them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Schema
from ninja.errors import ValidationError

from apps.accounts.auth import require_reader
from apps.automation.paging import Page, Paging, page
from apps.automation.rest import Id, In
from apps.traces import services
from apps.traces.api.room import router
from apps.traces.forms import TraceFilter
from apps.traces.models import Trace, TraceFlag

Complaint = Literal[
    "unsafe",
    "outdated",
    "missing_red_flag",
    "invented_abbreviation",
    "wrong_source",
    "other",
]
FlagKind = Literal["review", Complaint]


class GradeOut(Schema):
    """One rubric item on the answer; `met` is null where there is no verdict."""

    id: int
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
    flags: list[str] = Field(description="What detectors found.")
    raised: list[FlagOut] = Field(description="What readers said.")
    created: datetime


class TraceOut(TraceRow):
    messages: list[dict[str, Any]]
    answer: str
    thinking: str
    stop_reason: str
    advantage: float | None
    components: dict[str, float | None]
    error: str
    is_restricted: bool
    grades: list[GradeOut]
    raw: str
    turns: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    sources: list[dict[str, Any]]
    versions: dict[str, str]


class TraceWanted(Paging):
    q: str = Field("", max_length=200, description="Words in question or answer.")
    origin: Literal["", "rollout", "evaluation", "chat", "api"] = ""
    run: Id | None = None
    model: str = Field("", max_length=40)
    example: str = Field("", max_length=120)
    flag: str = Field("", max_length=40, description="Of a detector, or `any`.")
    raised: Literal[FlagKind, "", "any"] = Field("", description="What readers said, or `any`.")
    tool: str = Field("", max_length=64)
    low: float | None = Field(None, description="Score from.")
    high: float | None = Field(None, description="Score to.")
    since: date | None = None
    until: date | None = None


class FlagsIn(In):
    """All that you say is wrong with the answer; what is left out is taken back."""

    kinds: list[FlagKind] = Field(max_length=7)
    note: str = Field("", max_length=2000)


@router.get("/", response=Page[TraceRow], summary="List traces, newest first")
def list_(request: HttpRequest, wanted: Query[TraceWanted]) -> dict[str, Any]:
    visible = Trace.objects.visible_to(require_reader(request)).rows()
    form = TraceFilter(wanted.dict(exclude={"cursor", "limit"}, exclude_none=True))
    traces = form.narrow(visible).prefetch_related("raised")
    if form.errors:
        raise ValidationError(
            [
                {"type": "filter", "loc": ("query", name), "msg": str(said[0])}
                for name, said in form.errors.items()
            ]
        )
    return page(traces, cursor=wanted.cursor, limit=wanted.limit)


@router.get("/{int:pk}", response=TraceOut, summary="Get a trace")
def get(request: HttpRequest, pk: int) -> Trace:
    """With every rubric item's verdict, the tools it called, and what it cites."""
    visible = Trace.objects.visible_to(require_reader(request))
    return get_object_or_404(visible.prefetch_related("grades", "raised"), pk=pk)


@router.put("/{int:pk}/flags", response=list[FlagOut], summary="Say what is wrong with an answer")
def flag(request: HttpRequest, pk: int, body: FlagsIn) -> list[TraceFlag]:
    """`review` asks for a review. Flags that somebody settled stay."""
    user = require_reader(request)
    trace = get_object_or_404(Trace.objects.visible_to(user), pk=pk)
    kinds = list(dict.fromkeys(body.kinds))
    return services.raise_flags(trace, user, kinds, note=body.note)
