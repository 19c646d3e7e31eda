"""The page of what was used: one's own, everybody's for admins, who also set the limits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, F, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.guards import PageRequest, admin, member
from apps.accounts.models import User
from apps.deployments import limits
from apps.deployments.forms import AllowanceForm
from apps.deployments.models import Allowance, Usage

PER_PAGE = 50
DAYS = 14


@member
@require_safe
def usage(request: PageRequest) -> HttpResponse:
    rows = visible_to(request.user).select_related("user", "deployment")
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    grant = limits.grant_of(request.user)
    context = {
        "page": page,
        "days": by_day(request.user),
        "grant": grant,
        "tokens_today": limits.tokens_today(request.user),
        "form": AllowanceForm(initial=limits.Grant()._asdict()) if request.user.is_admin else None,
        "allowances": Allowance.objects.select_related("user").order_by("user__username")
        if request.user.is_admin
        else None,
    }
    return render(request, "deployments/usage.html", context)


@admin
@require_POST
def allow(request: PageRequest) -> HttpResponse:
    """Set a person's limits."""
    form = AllowanceForm(request.POST)
    if form.is_valid():
        asked = form.cleaned_data
        limits.set_allowance(
            asked["user"],
            tokens_per_day=asked["tokens_per_day"],
            requests_per_minute=asked["requests_per_minute"],
        )
        messages.success(request, f"The limits of {asked['user'].username} are set.")
    else:
        place, problems = next(iter(form.errors.items()))
        messages.error(request, f"{place.replace('_', ' ').capitalize()}: {problems[0]}")
    return redirect("deployments:usage")


def visible_to(user: User) -> QuerySet[Usage]:
    """One's own rows; everybody's for admins."""
    return Usage.objects.all() if user.is_admin else Usage.objects.filter(user=user)


def by_day(user: User) -> list[Any]:
    """Requests and tokens of the last two weeks, a line a day and person."""
    rows = visible_to(user).filter(created__gte=timezone.now() - timedelta(days=DAYS))
    return [
        *rows.annotate(day=TruncDate("created"))
        .values("day", name=F("user__username"))
        .annotate(
            requests=Count("pk"),
            prompt=Sum("prompt_tokens"),
            completion=Sum("completion_tokens"),
        )
        .order_by("-day", "name")
    ]
