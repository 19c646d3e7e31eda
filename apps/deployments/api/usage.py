"""What was used, and what people may use."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Schema, Status

from apps.accounts.auth import BearerAuth, require_admin, user_in
from apps.accounts.models import Scope, User
from apps.automation.paging import Page, Paging, page
from apps.automation.rest import Id, In
from apps.deployments import accounting, limits
from apps.deployments.api.room import router
from apps.deployments.models import Allowance

MOST_TOKENS = 10**12


class UsageOut(Schema):
    user_id: int | None
    token_name: str
    deployment_id: int | None
    source: str
    prompt_tokens: int
    completion_tokens: int
    first_token_seconds: float | None
    seconds: float
    status: str
    created: datetime


class UsageWanted(Paging):
    deployment: Id | None = None
    since: datetime | None = None


class DayOut(Schema):
    day: str
    name: str | None
    requests: int
    prompt: int
    completion: int


class AllowanceIn(In):
    user: str = Field(max_length=150)
    tokens_per_day: int = Field(ge=0, le=MOST_TOKENS, description="0: no limit.")
    requests_per_minute: int = Field(ge=0, le=1_000_000, description="0: no limit.")


class AllowanceOut(Schema):
    user: str = Field(alias="user.username")
    tokens_per_day: int = Field(description="0: no limit.")
    requests_per_minute: int = Field(description="0: no limit.")


class GrantOut(Schema):
    tokens_per_day: int = Field(description="0: no limit.")
    requests_per_minute: int = Field(description="0: no limit.")
    tokens_today: int


@router.get("usage", response=Page[UsageOut], summary="What was used; admins see everybody's")
def list_usage(request: HttpRequest, wanted: Query[UsageWanted]) -> dict[str, Any]:
    found = accounting.visible_to(user_in(request))
    if wanted.deployment:
        found = found.filter(deployment=wanted.deployment)
    if wanted.since:
        found = found.filter(created__gte=wanted.since)
    return page(found, cursor=wanted.cursor, limit=wanted.limit)


@router.get("usage/days", response=list[DayOut], summary="The last two weeks by day and person")
def usage_by_day(request: HttpRequest) -> list[dict[str, Any]]:
    return [{**row, "day": str(row["day"])} for row in accounting.by_day(user_in(request))]


@router.get(
    "allowances",
    response=Page[AllowanceOut],
    summary="Who has limits of their own",
    auth=BearerAuth(Scope.ADMIN),
)
def list_allowances(request: HttpRequest, wanted: Query[Paging]) -> dict[str, Any]:
    """Everybody else has the usual ones."""
    require_admin(request)
    rows = Allowance.objects.select_related("user")
    return page(rows, cursor=wanted.cursor, limit=wanted.limit)


@router.get("allowances/me", response=GrantOut, summary="What I may use, and what I used today")
def my_allowance(request: HttpRequest) -> dict[str, Any]:
    user = user_in(request)
    grant = limits.grant_of(user)
    return {**grant._asdict(), "tokens_today": limits.tokens_today(user)}


@router.post(
    "allowances",
    response={204: None},
    summary="Set a person's limits",
    auth=BearerAuth(Scope.ADMIN),
)
def set_allowance(request: HttpRequest, body: AllowanceIn) -> Status[None]:
    require_admin(request)
    limits.set_allowance(
        get_object_or_404(User, username=body.user),
        tokens_per_day=body.tokens_per_day,
        requests_per_minute=body.requests_per_minute,
    )
    return Status(204, None)
