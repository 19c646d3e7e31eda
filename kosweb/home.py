"""The first page: what needs this person, by role. It draws on every room, so it lives here."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.accounts.guards import PageRequest, member
from apps.accounts.models import User
from apps.deployments.models import Deployment
from apps.evals import reports
from apps.runs import progress
from apps.runs.models import Run, Status
from apps.traces.models import Trace

RECENT = timedelta(days=3)
ROWS = 6


@member
@require_GET
def home(request: PageRequest) -> HttpResponse:
    """Work for engineers, traces for reviewers; clinicians go on to the playground."""
    user = request.user
    if not (user.is_engineer or user.is_reviewer):
        return redirect("chat:list")
    context = for_engineer(user) if user.is_engineer else for_reviewer(user)
    is_fragment = request.htmx and "work" in request.GET
    return render(request, "_work.html" if is_fragment else "home.html", context)


def for_engineer(user: User) -> dict[str, Any]:
    runs = Run.objects.visible_to(user).select_related("owner", "pipeline")
    working = runs.active().filter(pipeline=None)
    ended = runs.filter(pipeline=None, ended__gt=timezone.now() - RECENT)
    return for_reviewer(user) | {
        "working": [(run, progress.overall(run)) for run in working[:ROWS]],
        "troubled": ended.filter(status=Status.FAILED)[:ROWS],
        "ended": ended.filter(status=Status.DONE)[:ROWS],
        "deployments": Deployment.objects.filter(status=Deployment.Status.READY)[:ROWS],
        "is_empty": not runs.exists(),
    }


def for_reviewer(user: User) -> dict[str, Any]:
    traces = Trace.objects.visible_to(user).order_by("-pk")
    return {
        "reports": reports.visible_to(user)[:3],
        "flagged": traces.exclude(flags=[])[:ROWS],
        "latest": traces[:ROWS],
    }
