"""Queues made, filled, staffed, closed: the pages of those who run reviews."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.guards import PageRequest, admin
from apps.reviews import rules, services
from apps.reviews.forms import QueueForm
from apps.reviews.models import Item, Queue

PAGE_SIZE = 200


@admin
@require_http_methods(["GET", "POST"])
def new(request: PageRequest) -> HttpResponse:
    return _edit(request, Queue(created_by=request.user))


@admin
@require_http_methods(["GET", "POST"])
def edit(request: PageRequest, pk: int) -> HttpResponse:
    return _edit(request, get_object_or_404(Queue, pk=pk))


@admin
@require_GET
def detail(request: PageRequest, pk: int) -> HttpResponse:
    """A queue as its keeper sees it: every item, why it is in, and how far it is."""
    queue = get_object_or_404(Queue, pk=pk)
    items = queue.items.select_related("trace", "claimed_by", "only_for").prefetch_related(
        "reviews__reviewer"
    )
    context = {
        "queue": queue,
        "items": items[:PAGE_SIZE],
        "num_items": items.count(),
        "people": services.progress(queue),
        "statuses": Item.Status,
    }
    return render(request, "reviews/detail.html", context)


@admin
@require_POST
def fill(request: PageRequest, pk: int) -> HttpResponse:
    """Add what the rule finds by now."""
    queue = get_object_or_404(Queue, pk=pk)
    messages.success(request, f"{services.fill(queue)} answers added.")
    return redirect("reviews:detail", pk)


@admin
@require_POST
def turn(request: PageRequest, pk: int) -> HttpResponse:
    """Close an open queue, or open a closed one."""
    queue = get_object_or_404(Queue, pk=pk)
    other = {
        Queue.Status.OPEN.value: Queue.Status.CLOSED,
        Queue.Status.CLOSED.value: Queue.Status.OPEN,
    }
    Queue.objects.filter(pk=pk, status=queue.status).update(status=other[queue.status])
    return redirect("reviews:detail", pk)


def _edit(request: PageRequest, queue: Queue) -> HttpResponse:
    form = QueueForm(request.POST or None, instance=queue)
    context = {"form": form, "queue": queue}
    if request.method == "POST" and form.is_valid():
        if "preview" in request.POST:
            found = rules.preview(
                form.rule, size=form.cleaned_data["size"], seed=form.cleaned_data["seed"]
            )
            return render(request, "reviews/edit.html", context | {"preview": found})
        saved = form.save()
        services.assign(saved, form.cleaned_data["people"])
        if "fill" in request.POST:
            messages.success(request, f"Saved; {services.fill(saved)} answers added.")
        return redirect("reviews:detail", saved.pk)
    return render(request, "reviews/edit.html", context, status=422 if form.errors else 200)
