"""What serves: list, watch, stop, start again, register another."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Field, Query, Schema, Status

from apps.accounts.auth import BearerAuth, require_engineer
from apps.accounts.models import Scope
from apps.automation.paging import Page, Paging, page
from apps.automation.rest import Id
from apps.deployments import live, services
from apps.deployments.api.room import find, router, visible
from apps.deployments.models import Deployment
from kos.config import Remote


class DeploymentOut(Schema):
    id: int
    name: str = Field(description="What a request at /v1 names as `model`.")
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


class DeploymentWanted(Paging):
    status: Literal["", "ready", "restarting", "stopped"] = ""
    name: str = Field("", max_length=120)
    artifact: Id | None = None


class LiveOut(Schema):
    running: int
    waiting: int | None
    requests: int
    failed: int
    tokens_per_second: float
    first_token_p50: float | None
    first_token_p95: float | None


class HealthOut(Schema):
    is_ok: bool
    sentence: str


class DeploymentChangeOut(Schema):
    """What was done, by whom and why."""

    action: str
    deployment: int | None = Field(None, alias="deployment_id")
    alias: str | None = Field(None, alias="alias.name")
    former: int | None = Field(None, alias="former_id")
    by: str | None = Field(None, alias="by.username")
    reason: str
    at: datetime


class ReasonWanted(Schema):
    reason: str = Field("", max_length=400, description="Its history keeps it.")


class RunRef(Schema):
    run_id: int


@router.get("", response=Page[DeploymentOut], summary="List deployments, newest first")
def list_(request: HttpRequest, wanted: Query[DeploymentWanted]) -> dict[str, Any]:
    found = visible(request)
    for name in ("status", "name", "artifact"):
        if value := getattr(wanted, name):
            found = found.filter(**{name: value})
    return page(found, cursor=wanted.cursor, limit=wanted.limit)


@router.post("remote", response={202: RunRef}, summary="Register a server elsewhere")
def register_remote(request: HttpRequest, config: Remote) -> Status[dict[str, int]]:
    """The run probes it; the deployment is there once it answered."""
    run = services.register(require_engineer(request), config)
    return Status(202, {"run_id": run.pk})


@router.get("{int:pk}", response=DeploymentOut, summary="One deployment")
def get(request: HttpRequest, pk: int) -> Deployment:
    return find(request, pk)


@router.get("{int:pk}/live", response=LiveOut, summary="Its numbers of the last five minutes")
def get_live(request: HttpRequest, pk: int) -> live.Live:
    return live.measure(find(request, pk))


@router.post(
    "{int:pk}/health",
    response=HealthOut,
    summary="Ask its server now",
    auth=BearerAuth(Scope.DEPLOYMENTS_READ),
)
def check_health(request: HttpRequest, pk: int) -> dict[str, Any]:
    return services.health_of(find(request, pk))._asdict()


@router.get("{int:pk}/changes", response=Page[DeploymentChangeOut], summary="What was done to it")
def list_changes(request: HttpRequest, pk: int, wanted: Query[Paging]) -> dict[str, Any]:
    found = find(request, pk).changes.select_related("by", "alias")
    return page(found, cursor=wanted.cursor, limit=wanted.limit)


@router.post("{int:pk}/stop", response={202: DeploymentOut}, summary="Stop serving")
def stop(request: HttpRequest, pk: int, wanted: Query[ReasonWanted]) -> Status[Deployment]:
    user = require_engineer(request)
    services.stop(find(request, pk), by=user, reason=wanted.reason)
    return Status(202, find(request, pk))


@router.post("{int:pk}/start", response={202: RunRef}, summary="Serve a stopped one again")
def start(request: HttpRequest, pk: int, wanted: Query[ReasonWanted]) -> Status[dict[str, int]]:
    user = require_engineer(request)
    run = services.start_again(find(request, pk), by=user, reason=wanted.reason)
    return Status(202, {"run_id": run.pk})
