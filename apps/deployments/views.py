"""Pages of the deployments: who serves what, is it well, stop it."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.guards import PageRequest, engineer
from apps.deployments import services
from apps.deployments.models import Deployment
from apps.runs import services as runs

PER_PAGE = 50


@engineer
@require_safe
def list(request: PageRequest) -> HttpResponse:
    deployments = Deployment.objects.visible_to(request.user).select_related(
        "artifact__run", "run__owner"
    )
    page = Paginator(deployments, PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "deployments/list.html", {"page": page})


@engineer
@require_safe
def detail(request: PageRequest, pk: int) -> HttpResponse:
    deployment = _get(request, pk)
    return render(request, "deployments/detail.html", {"deployment": deployment})


@engineer
@require_POST
def health(request: PageRequest, pk: int) -> HttpResponse:
    """The verdict as a fragment for htmx, or on the page for a plain form."""
    deployment = _get(request, pk)
    context = {"deployment": deployment, "health": services.check_health(deployment)}
    template = "deployments/_health.html" if request.htmx else "deployments/detail.html"
    return render(request, template, context)


@engineer
@require_POST
def stop(request: PageRequest, pk: int) -> HttpResponse:
    deployment = _get(request, pk)
    runs.stop(deployment.run)
    messages.info(request, f"{deployment.name} is being stopped.")
    return redirect("deployments:detail", pk)


def _get(request: PageRequest, pk: int) -> Deployment:
    deployments = Deployment.objects.visible_to(request.user).select_related(
        "artifact__run", "run"
    )
    return get_object_or_404(deployments, pk=pk)
