"""The same prompts to several deployments, side by side."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from asgiref.sync import async_to_sync
from django.core.handlers.asgi import ASGIRequest
from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Schema, Status

from apps.accounts.auth import require_engineer
from apps.automation.paging import Page, Paging, page
from apps.automation.rest import Id, In
from apps.deployments import comparing
from apps.deployments.api.room import find, router
from apps.deployments.models import Comparison


class ComparisonRow(Schema):
    id: int
    status: str
    num_answers: int
    num_done: int
    created: datetime


class ComparisonOut(ComparisonRow):
    prompts: list[str]
    columns: list[dict[str, Any]] = Field(description="The deployments as they were.")
    answers: list[list[dict[str, Any] | None]] = Field(description="By prompt, then column.")
    error: str


class ComparisonIn(In):
    prompts: list[str] = Field(min_length=1, max_length=comparing.MAX_PROMPTS)
    deployments: list[Id] = Field(min_length=comparing.COLUMNS[0], max_length=comparing.COLUMNS[1])
    max_tokens: int = Field(128, ge=1, le=4096)
    temperature: float = Field(0, ge=0, le=2)


@router.get("comparisons", response=Page[ComparisonRow], summary="What was compared")
def list_comparisons(request: HttpRequest, wanted: Query[Paging]) -> dict[str, Any]:
    return page(_comparisons(request), cursor=wanted.cursor, limit=wanted.limit)


@router.post("comparisons", response={202: ComparisonOut}, summary="Ask several at once")
def compare(request: HttpRequest, body: ComparisonIn) -> Status[Comparison]:
    """Ask again at `comparisons/{id}` until it is done."""
    user = require_engineer(request)
    made = comparing.make(
        user,
        body.prompts,
        [find(request, pk) for pk in dict.fromkeys(body.deployments)],
        max_tokens=body.max_tokens,
        temperature=body.temperature,
    )
    begin = comparing.start if isinstance(request, ASGIRequest) else comparing.start_and_wait
    async_to_sync(begin)(made)
    return Status(202, made)


@router.get("comparisons/{int:pk}", response=ComparisonOut, summary="One comparison")
def get_comparison(request: HttpRequest, pk: int) -> Comparison:
    return get_object_or_404(_comparisons(request), pk=pk)


@router.post("comparisons/{int:pk}/stop", response=ComparisonOut, summary="End a comparison")
def stop_comparison(request: HttpRequest, pk: int) -> Comparison:
    comparing.stop(get_comparison(request, pk))
    return get_comparison(request, pk)


def _comparisons(request: HttpRequest) -> QuerySet[Comparison]:
    require_engineer(request)
    comparing.close_silent()
    return Comparison.objects.all()
