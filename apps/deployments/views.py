"""Pages of the deployments: who serves what, how it does, stop it, start it, register another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.guards import PageRequest, engineer
from apps.deployments import aliases, live, services
from apps.deployments.forms import PromoteForm, ReasonForm, remote_form
from apps.deployments.models import Alias, Deployment
from apps.runs.page import lines
from kos.config import Remote
from kos.errors import UserError

PER_PAGE = 50
LOG_LINES = 12


@engineer
@require_safe
def list(request: PageRequest) -> HttpResponse:
    deployments = Deployment.objects.visible_to(request.user).select_related(
        "artifact__run", "run__owner"
    )
    page = Paginator(deployments, PER_PAGE).get_page(request.GET.get("page"))
    led = Alias.objects.select_related("deployment__run", "canary")
    return render(request, "deployments/list.html", {"page": page, "aliases": led})


@engineer
@require_safe
def detail(request: PageRequest, pk: int) -> HttpResponse:
    """The page; htmx asks every two seconds for its live numbers alone."""
    deployment = _get(request, pk)
    context: dict[str, Any] = {"deployment": deployment, "live": live.measure(deployment)}
    if request.htmx:
        return render(request, "deployments/_live.html", context)
    return render(request, "deployments/detail.html", {**context, **_about(deployment)})


@engineer
@require_http_methods(["GET", "POST"])
def remote(request: PageRequest) -> HttpResponse:
    """Register a server elsewhere; the run that probes it says how it went."""
    form = remote_form(request.user, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        config = form.config
        assert isinstance(config, Remote)
        run = services.register(request.user, config)
        messages.info(request, f"{config.name} is being probed.")
        return redirect("runs:detail", run.pk)
    context = {"form": form, "problems": form.problems() if form.is_bound else []}
    return render(
        request, "deployments/remote.html", context, status=400 if form.is_bound else 200
    )


@engineer
@require_POST
def health(request: PageRequest, pk: int) -> HttpResponse:
    """The verdict as a fragment for htmx, or on the page for a plain form."""
    deployment = _get(request, pk)
    context: dict[str, Any] = {"deployment": deployment, "health": services.health_of(deployment)}
    if request.htmx:
        return render(request, "deployments/_health.html", context)
    context |= {"live": live.measure(deployment), **_about(deployment)}
    return render(request, "deployments/detail.html", context)


@engineer
@require_POST
def stop(request: PageRequest, pk: int) -> HttpResponse:
    deployment = _get(request, pk)
    form = ReasonForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Say why it is stopped: the history keeps it.")
    else:
        services.stop(deployment, by=request.user, reason=form.cleaned_data["reason"])
        messages.info(request, f"{deployment.name} is being stopped.")
    return redirect("deployments:detail", pk)


@engineer
@require_POST
def start(request: PageRequest, pk: int) -> HttpResponse:
    """Serve it again as it was."""
    deployment = _get(request, pk)
    try:
        run = services.start_again(
            deployment, by=request.user, reason=request.POST.get("reason", "")
        )
    except UserError as error:
        messages.error(request, str(error))
        return redirect("deployments:detail", pk)
    messages.info(request, f"{deployment.name} is being started.")
    if deployment.is_remote:
        return redirect("deployments:detail", pk)
    return redirect("runs:detail", run.pk)


@engineer
@require_POST
def promote(request: PageRequest, pk: int) -> HttpResponse:
    """Let an alias lead to this deployment."""
    deployment = _get(request, pk)
    form = PromoteForm(request.POST)
    if not form.is_valid():
        problem = next(iter(form.errors.values()))[0]
        messages.error(request, f"Not promoted: {problem}")
        return redirect("deployments:detail", pk)
    name = form.cleaned_data["alias"]
    try:
        aliases.promote(name, deployment, by=request.user, reason=form.cleaned_data["reason"])
    except UserError as error:
        messages.error(request, str(error))
        return redirect("deployments:detail", pk)
    messages.success(request, f"{name} leads to {deployment.name} #{deployment.pk} now.")
    return redirect("deployments:alias", name)


def _about(deployment: Deployment) -> Mapping[str, Any]:
    said = lines.tail(deployment.run, limit=LOG_LINES)
    return {
        "lines": said,
        "seen": deployment.run.last_seq,
        "log_run": deployment.run,
        "changes": deployment.changes.select_related("by", "alias", "former")[:30],
        "led": services.stands_behind(deployment),
        "how": deployment.how,
        "promote_form": PromoteForm(),
    }


def _get(request: PageRequest, pk: int) -> Deployment:
    deployments = Deployment.objects.visible_to(request.user).select_related(
        "artifact__run", "adapter", "run__owner"
    )
    return get_object_or_404(deployments, pk=pk)
