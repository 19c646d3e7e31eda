"""The calls of deployments, and how one finds the deployment it means."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from apps.accounts.auth import require_engineer
from apps.accounts.models import Scope
from apps.automation.rest import Room
from apps.deployments.models import Deployment

router = Room("deployments", reading=Scope.DEPLOYMENTS_READ, writing=Scope.DEPLOYMENTS_WRITE)


def visible(request: HttpRequest) -> QuerySet[Deployment]:
    """The deployments that the caller may see."""
    user = require_engineer(request)
    return Deployment.objects.visible_to(user).select_related("artifact", "run__owner")


def find(request: HttpRequest, pk: int) -> Deployment:
    """One of them, or 404."""
    return get_object_or_404(visible(request), pk=pk)
