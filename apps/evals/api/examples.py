"""The prompts of an evaluation, one by one, and verdicts of people over the grader's."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Schema, Status

from apps.accounts.auth import require_reader, require_reviewer
from apps.automation.paging import Page, Paging, page, slice_page
from apps.automation.rest import Id, In
from apps.evals import reports, services
from apps.evals.api.room import Chosen, ModeName, choose, find, router
from apps.evals.forms import ExampleFilter
from apps.evals.models import Override
from apps.traces.models import Grade, Trace


class ExampleWanted(Paging):
    model: str = Field("", max_length=40)
    baseline: str = Field("", max_length=40)
    mode: ModeName | None = None
    q: str = Field("", max_length=120, description="In the prompt's id.")
    slice: str = Field("", max_length=200, description="family=value")
    flag: str = Field("", max_length=40)
    state: Literal["", "graded", "incomplete", "screened", "failed"] = ""
    low: float | None = None
    high: float | None = None
    item: str = Field("", max_length=120, description="Key of a rubric item.")
    sort: Literal["worst", "best", "regressed", "improved", "spread", "longest"] = "worst"


class PromptRow(Schema):
    """A prompt with its score over its samples, and against the baseline."""

    id: str
    score: float | None
    delta: float | None
    spread: float | None
    samples: int
    chars: float | None
    flags: list[str]
    states: list[str]
    slices: dict[str, str]


class PromptPage(Page[PromptRow]):
    count: int = Field(description="How many fit the filters.")


class OverrideIn(In):
    met: bool | None = Field(description="null withdraws earlier overrides")
    reason: str = Field(min_length=1, max_length=20_000)


class OverrideOut(Schema):
    id: int
    grade: int = Field(alias="grade_id")
    met: bool | None
    by: str = Field(alias="by.username")
    reason: str
    created: datetime


class OverridesWanted(Paging):
    run: Id | None = None


@router.get("/runs/{int:pk}/examples", response=PromptPage, summary="The prompts of a run")
def list_examples(request: HttpRequest, pk: int, wanted: Query[ExampleWanted]) -> dict[str, Any]:
    """Filtered and sorted as on the page."""
    run = find(request, pk)
    choice = choose(run, Chosen(**wanted.dict(include={"model", "baseline", "mode"})))
    rows = reports.numbers_of(run, choice).examples if choice else []
    given = wanted.dict(exclude={"cursor", "limit"}, exclude_none=True)
    found = ExampleFilter(given, rows).found()
    key = f"examples:{pk}:{wanted.sort}"
    return {
        "count": len(found),
        **slice_page(found, cursor=wanted.cursor, limit=wanted.limit, key=key),
    }


@router.post(
    "/grades/{int:pk}/override", response={201: OverrideOut}, summary="Override a verdict"
)
def override(request: HttpRequest, pk: int, body: OverrideIn) -> Status[Override]:
    """Your verdict counts over the grader's, which stays as it was."""
    user = require_reviewer(request)
    grade = get_object_or_404(Grade, pk=pk, trace__in=Trace.objects.visible_to(user))
    return Status(201, services.override(grade, body.met, user, body.reason))


@router.get("/overrides", response=Page[OverrideOut], summary="Who overrode what, newest first")
def list_overrides(request: HttpRequest, wanted: Query[OverridesWanted]) -> dict[str, Any]:
    user = require_reader(request)
    found = Override.objects.filter(grade__trace__in=Trace.objects.visible_to(user))
    if wanted.run:
        found = found.filter(grade__trace__run=wanted.run)
    return page(found.select_related("by"), cursor=wanted.cursor, limit=wanted.limit)
