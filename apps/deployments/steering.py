"""Pages of an alias: where it leads, its history, roll back, and the share of a canary."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.guards import PageRequest, engineer
from apps.accounts.numerals import number
from apps.deployments import aliases
from apps.deployments.forms import ReasonForm, ShareForm, name_of
from apps.deployments.models import Alias, Deployment
from kos.errors import UserError


@engineer
@require_safe
def alias(request: PageRequest, name: str) -> HttpResponse:
    found = _get(name)
    context = {
        "alias": found,
        "changes": aliases.history(found),
        "former": aliases.way_back(found),
        "share_form": ShareForm(found),
        "others": [
            (row.pk, name_of(row))
            for row in Deployment.objects.ready()
            .exclude(pk=found.deployment_id)
            .select_related("artifact")
        ],
    }
    return render(request, "deployments/alias.html", context)


@engineer
@require_POST
def move(request: PageRequest, name: str) -> HttpResponse:
    """Promote another deployment to the alias."""
    chosen = number(request.POST.get("deployment", ""))
    deployment = get_object_or_404(Deployment, pk=chosen or 0)
    form = ReasonForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Say why: the history keeps it.")
        return redirect("deployments:alias", name)
    try:
        aliases.promote(name, deployment, by=request.user, reason=form.cleaned_data["reason"])
    except UserError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{name} leads to {deployment.name} #{deployment.pk} now.")
    return redirect("deployments:alias", name)


@engineer
@require_POST
def roll_back(request: PageRequest, name: str) -> HttpResponse:
    try:
        former = aliases.roll_back(
            _get(name), by=request.user, reason=request.POST.get("reason", "")
        )
    except UserError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{name} leads to {former.name} #{former.pk} again.")
    return redirect("deployments:alias", name)


@engineer
@require_POST
def share(request: PageRequest, name: str) -> HttpResponse:
    """Set, change or end a canary's share."""
    found = _get(name)
    form = ShareForm(found, request.POST)
    if not form.is_valid():
        place, problems = next(iter(form.errors.items()))
        messages.error(request, f"{place.capitalize()}: {problems[0]}")
        return redirect("deployments:alias", name)
    asked = form.cleaned_data
    try:
        aliases.share(
            found,
            asked["canary"],
            percent=asked["percent"],
            by=request.user,
            reason=asked["reason"],
        )
    except UserError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"The share of {name} is set.")
    return redirect("deployments:alias", name)


def _get(name: str) -> Alias:
    return get_object_or_404(
        Alias.objects.select_related("deployment__run", "deployment__artifact", "canary__run"),
        name=name,
    )
