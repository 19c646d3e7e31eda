"""The pages of those who keep things going: what waits for a worker, and the workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.cache import cache
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.guards import PageRequest, engineer
from apps.accounts.numerals import number
from apps.runs import services
from apps.runs.models import Run, Status
from apps.runs.operations import queues, waiting
from apps.runs.operations.workers import places
from kos.errors import UserError

NOT_CHANGED = 204
MOVES: dict[str, waiting.Move] = {"up": "up", "down": "down", "first": "first"}
# However many look at the workers, they are read once in so long.
LOOK_SECONDS = 2


@engineer
@require_GET
def queue(request: PageRequest) -> HttpResponse:
    """What waits, in the order in which it will start; what is not new is not sent again."""
    shown = queues.queues(request.user)
    seen = queues.fingerprint(shown)
    if request.htmx and request.GET.get("seen") == seen:
        return HttpResponse(status=NOT_CHANGED)
    template = "runs/_queue.html" if request.htmx and "seen" in request.GET else "runs/queue.html"
    return render(request, template, {"queues": shown, "seen": seen})


@engineer
@require_POST
def move(request: PageRequest, pk: int) -> HttpResponse:
    """Move a waiting run up, down or to the front of its queue."""
    where = MOVES.get(request.POST.get("where", ""))
    if where is None:
        raise Http404
    return _changed(request, pk, lambda run: waiting.move(run, where))


@engineer
@require_POST
def prioritise(request: PageRequest, pk: int) -> HttpResponse:
    """Give a waiting run another priority."""
    typed = request.POST.get("priority", "").strip()[:8]
    size = number(typed.removeprefix("-"))
    if size is None:
        return _said(request, error=f"Priority is a whole number, not {typed!r}.")
    wanted = -size if typed.startswith("-") else size
    return _changed(request, pk, lambda run: waiting.prioritise(run, wanted))


@engineer
@require_POST
def cancel(request: PageRequest, pk: int) -> HttpResponse:
    """Take a waiting run out of its queue; it can be put back."""
    run = _run(request, pk)
    if run.status not in waiting.WAITING:
        return _said(request, error=f"{run.name} does not wait any more; stop it on its page.")
    services.stop(run)
    return _said(request, cancelled=run)


@engineer
@require_POST
def put_back(request: PageRequest, pk: int) -> HttpResponse:
    """Queue a cancelled run again."""
    run = _run(request, pk)
    if run.status != Status.CANCELLED:
        return _said(request, error=f"{run.name} is {run.status}; there is nothing to put back.")
    return _changed(request, pk, services.resume)


@engineer
@require_GET
def workers(request: PageRequest) -> HttpResponse:
    """The machines and their workers; everybody who looks shares one reading."""
    if request.htmx and "now" in request.GET:
        return HttpResponse(cache.get_or_set("workers", _drawn, LOOK_SECONDS))
    return render(request, "runs/workers.html", {"places": places()})


def _drawn() -> str:
    return render_to_string("runs/_workers.html", {"places": places()})


def _run(request: PageRequest, pk: int) -> Run:
    return get_object_or_404(Run.objects.visible_to(request.user), pk=pk)


def _changed(request: PageRequest, pk: int, change: Callable[[Run], None]) -> HttpResponse:
    try:
        change(_run(request, pk))
    except UserError as error:
        return _said(request, error=f"{str(error)[:1].upper()}{str(error)[1:]}.")
    return _said(request)


def _said(request: PageRequest, *, error: str = "", cancelled: Run | None = None) -> HttpResponse:
    """The queues as they are now: the fragment for htmx, otherwise the page again."""
    if not request.htmx:
        if error:
            messages.error(request, error)
        if cancelled is not None:
            messages.success(request, f"{cancelled.name} is cancelled; Resume is on its page.")
        return redirect("runs:queue")
    shown = queues.queues(request.user)
    context: dict[str, Any] = {"queues": shown, "seen": queues.fingerprint(shown)}
    context |= {"error": error, "cancelled": cancelled}
    return render(request, "runs/_queue.html", context, status=409 if error else 200)
