"""Deployments over REST: list, one, stop."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema, Status

from apps.accounts.auth import require_engineer
from apps.deployments.models import Deployment
from apps.runs import services as runs

router = Router(tags=["deployments"])


class DeploymentOut(Schema):
    id: int
    name: str
    status: str
    run_id: int
    artifact_id: int
    is_demonstration: bool
    created: datetime


@router.get("", response=list[DeploymentOut], summary="List deployments, newest first")
def list_deployments(request: HttpRequest) -> list[Deployment]:
    user = require_engineer(request)
    return [*Deployment.objects.visible_to(user).select_related("artifact")[:200]]


@router.get("{int:pk}", response=DeploymentOut, summary="One deployment")
def get_deployment(request: HttpRequest, pk: int) -> Deployment:
    user = require_engineer(request)
    return get_object_or_404(Deployment.objects.visible_to(user).select_related("artifact"), pk=pk)


@router.post("{int:pk}/stop", response={202: DeploymentOut}, summary="Stop serving")
def stop_deployment(request: HttpRequest, pk: int) -> Status[Deployment]:
    user = require_engineer(request)
    deployments = Deployment.objects.visible_to(user).select_related("artifact", "run")
    deployment = get_object_or_404(deployments, pk=pk)
    runs.stop(deployment.run)
    return Status(202, deployment)
