"""Deployments over REST: their life, aliases, and what was used."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Router, Schema, Status
from ninja.errors import HttpError

from apps.accounts.auth import require_engineer
from apps.accounts.models import User
from apps.deployments import accounting, aliases, limits, live, services
from apps.deployments.models import Alias, Deployment, Usage
from kos.config import Remote

router = Router(tags=["deployments"])
MOST = 200


class DeploymentOut(Schema):
    id: int
    name: str
    engine: str
    status: str
    dialect: str
    run_id: int
    artifact_id: int | None
    adapter_id: int | None
    is_demonstration: bool
    num_restarts: int
    warm_up: dict[str, Any]
    created: datetime


class LiveOut(Schema):
    running: int
    waiting: int | None
    requests: int
    failed: int
    tokens_per_second: float
    first_token_p50: float | None
    first_token_p95: float | None


class AliasOut(Schema):
    name: str
    deployment_id: int
    canary_id: int | None
    canary_percent: int


class ReasonIn(Schema):
    reason: str = Field("", max_length=400)


class PromoteIn(Schema):
    deployment: int
    reason: str = Field(..., min_length=1, max_length=400)


class ShareIn(Schema):
    canary: int | None
    percent: int = Field(0, ge=0, le=100)
    reason: str = Field("", max_length=400)


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


class AllowanceIn(Schema):
    user: str
    tokens_per_day: int = Field(..., ge=0)
    requests_per_minute: int = Field(..., ge=0)


class RunRef(Schema):
    run_id: int


@router.get("", response=list[DeploymentOut], summary="List deployments, newest first")
def list_deployments(request: HttpRequest) -> list[Deployment]:
    user = require_engineer(request)
    return [*Deployment.objects.visible_to(user).select_related("artifact")[:MOST]]


@router.post("remote", response={202: RunRef}, summary="Register a server elsewhere")
def register_remote(request: HttpRequest, config: Remote) -> Status[dict[str, int]]:
    """The run probes it; the deployment is there once it answered."""
    run = services.register(require_engineer(request), config)
    return Status(202, {"run_id": run.pk})


@router.get("aliases", response=list[AliasOut], summary="Every alias and where it leads")
def list_aliases(request: HttpRequest) -> list[Alias]:
    require_engineer(request)
    return [*Alias.objects.all()]


@router.post("aliases/{name}/promote", response=AliasOut, summary="Let an alias lead elsewhere")
def promote(request: HttpRequest, name: str, body: PromoteIn) -> Alias:
    user = require_engineer(request)
    deployment = get_object_or_404(_all(user), pk=body.deployment)
    return aliases.promote(name, deployment, by=user, reason=body.reason)


@router.post("aliases/{name}/roll-back", response=AliasOut, summary="Undo the last promotion")
def roll_back(request: HttpRequest, name: str, body: ReasonIn) -> Alias:
    user = require_engineer(request)
    aliases.roll_back(get_object_or_404(Alias, name=name), by=user, reason=body.reason)
    return Alias.objects.get(name=name)


@router.post("aliases/{name}/share", response=AliasOut, summary="Set a canary's share")
def share(request: HttpRequest, name: str, body: ShareIn) -> Alias:
    user = require_engineer(request)
    alias = get_object_or_404(Alias.objects.select_related("deployment"), name=name)
    canary = get_object_or_404(_all(user), pk=body.canary) if body.canary is not None else None
    aliases.share(alias, canary, percent=body.percent, by=user, reason=body.reason)
    return alias


@router.get("usage", response=list[UsageOut], summary="What was used; admins see everybody's")
def list_usage(request: HttpRequest, limit: int = 100) -> list[Usage]:
    user = request.user
    assert isinstance(user, User), "the API's auth lets nobody else in"
    return [*accounting.visible_to(user)[: min(max(limit, 1), MOST)]]


@router.post("allowances", response={204: None}, summary="Set a person's limits")
def set_allowance(request: HttpRequest, body: AllowanceIn) -> Status[None]:
    user = request.user
    if not isinstance(user, User) or not user.is_admin:
        raise HttpError(403, "this needs the role admin")
    limits.set_allowance(
        get_object_or_404(User, username=body.user),
        tokens_per_day=body.tokens_per_day,
        requests_per_minute=body.requests_per_minute,
    )
    return Status(204, None)


@router.get("{int:pk}", response=DeploymentOut, summary="One deployment")
def get_deployment(request: HttpRequest, pk: int) -> Deployment:
    return get_object_or_404(_all(require_engineer(request)), pk=pk)


@router.get("{int:pk}/live", response=LiveOut, summary="Its numbers of the last five minutes")
def get_live(request: HttpRequest, pk: int) -> live.Live:
    return live.measure(get_object_or_404(_all(require_engineer(request)), pk=pk))


@router.post("{int:pk}/stop", response={202: DeploymentOut}, summary="Stop serving")
def stop_deployment(request: HttpRequest, pk: int, reason: str = "") -> Status[Deployment]:
    user = require_engineer(request)
    deployment = get_object_or_404(_all(user), pk=pk)
    services.stop(deployment, by=user, reason=reason)
    return Status(202, get_object_or_404(_all(user), pk=pk))


@router.post("{int:pk}/start", response={202: RunRef}, summary="Serve a stopped one again")
def start_deployment(request: HttpRequest, pk: int, reason: str = "") -> Status[dict[str, int]]:
    user = require_engineer(request)
    deployment = get_object_or_404(_all(user), pk=pk)
    run = services.start_again(deployment, by=user, reason=reason)
    return Status(202, {"run_id": run.pk})


def _all(user: User) -> QuerySet[Deployment]:
    return Deployment.objects.visible_to(user).select_related("artifact", "run__owner")
