"""Webhooks as pages: which there are, one with its log, and what can be done to it."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.guards import PageRequest, engineer
from apps.automation import hooks
from apps.automation import webhooks as services
from apps.automation.deliveries import TRIES
from apps.automation.forms import WebhookForm
from apps.automation.models import Delivery, Webhook
from apps.automation.paging import page
from kos.errors import UserError

SHOWN = 50


@engineer
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def webhooks(request: PageRequest) -> HttpResponse:
    """All of mine; a POST makes one and shows its secret this once."""
    form = WebhookForm(request.POST or None)
    fresh = None
    if form.is_valid():
        try:
            fresh = services.create(request.user, **form.cleaned_data)
        except UserError as error:
            form.add_error("url", str(error))
        else:
            form = WebhookForm()
    context = {
        "form": form,
        "fresh": fresh,
        "webhooks": _listed(request),
        "num_kinds": len(hooks.KINDS),
    }
    status = 400 if form.errors else 200
    return render(request, "automation/webhooks.html", context, status=status)


@engineer
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def webhook(request: PageRequest, pk: int) -> HttpResponse:
    """One of mine with its log; a POST changes where it leads and what it hears."""
    found = _one(request, pk)
    form = WebhookForm(request.POST or None, initial=_values(found))
    if form.is_valid():
        try:
            services.change(found, **form.cleaned_data)
        except UserError as error:
            form.add_error("url", str(error))
        else:
            messages.success(request, "Kept.")
            return redirect("automation:webhook", pk)
    return _show(request, found, form)


@engineer
@require_POST
def act(request: PageRequest, pk: int) -> HttpResponse:
    """Pause, go on, try, rotate the secret, or delete."""
    found = _one(request, pk)
    action = request.POST.get("action", "")
    if action == "rotate":
        fresh = services.rotate(found)
        return _show(request, found, WebhookForm(initial=_values(found)), fresh=fresh)
    if action == "delete":
        services.delete(found)
        messages.success(request, f"{found} is told nothing more.")
        return redirect("automation:webhooks")
    acts: dict[str, Callable[[], object]] = {
        "pause": lambda: services.change(found, is_active=False),
        "go-on": lambda: services.change(found, is_active=True),
        "test": lambda: services.ping(found),
    }
    said = {
        "pause": "Paused: nothing is sent until you go on.",
        "go-on": "On again. What waited is sent now.",
        "test": "A test event is on its way; the log shows how it went.",
    }
    try:
        if action not in acts:
            raise UserError("Choose what to do: test, pause, go on, rotate or delete.")  # noqa: TRY301
        acts[action]()
    except UserError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, said[action])
    return redirect("automation:webhook", pk)


@engineer
@require_POST
def replay(request: PageRequest, pk: int) -> HttpResponse:
    """Tell one event once more."""
    delivery = get_object_or_404(
        Delivery.objects.select_related("webhook"), pk=pk, webhook__owner=request.user
    )
    try:
        services.replay(delivery)
    except UserError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "The event is sent once more.")
    return redirect("automation:webhook", delivery.webhook_id)


def _show(
    request: PageRequest,
    found: Webhook,
    form: WebhookForm,
    *,
    fresh: services.NewSecret | None = None,
) -> HttpResponse:
    cursor = request.GET.get("cursor", "")
    log = page(found.deliveries.all(), cursor=cursor, limit=SHOWN)
    context = {
        "webhook": found,
        "form": form,
        "fresh": fresh,
        # ``log.items`` would be the dictionary's own method in a template.
        "deliveries": log["items"],
        "following": log["next"],
        "tries": TRIES,
        # The log moves by itself while something is on its way.
        "is_moving": any(one.status == Delivery.Status.WAITING for one in log["items"]),
    }
    template = "automation/_log.html" if request.htmx else "automation/webhook.html"
    return render(request, template, context, status=400 if form.errors else 200)


def _listed(request: PageRequest) -> QuerySet[Webhook]:
    last = Delivery.objects.filter(webhook=OuterRef("pk")).order_by("-pk")
    return _mine(request).annotate(
        last_status=Subquery(last.values("status")[:1]),
        last_at=Subquery(last.values("created")[:1]),
        num_waiting=Count("deliveries", filter=Q(deliveries__status="waiting")),
    )


def _mine(request: PageRequest) -> QuerySet[Webhook]:
    return Webhook.objects.filter(owner=request.user).select_related("owner")


def _one(request: PageRequest, pk: int) -> Webhook:
    return get_object_or_404(_mine(request), pk=pk)


def _values(webhook: Webhook) -> dict[str, object]:
    return {name: getattr(webhook, name) for name in ("url", "kinds", "is_for_all")}
