"""Pages of drafts: what one changes, who did what, and its way to the next version."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.guards import PageRequest, engineer, member
from apps.accounts.numerals import number
from apps.datasets import drafts, publishing
from apps.datasets.forms import NewForm
from apps.datasets.models import (
    DatasetVersion,
    DraftChange,
    DraftStep,
    DraftVersion,
    Work,
)
from apps.datasets.writing import draft_of, editor_url
from kos.errors import UserError

PAGE_SIZE = 100
SHOWN_STEPS = 30


@member
@require_http_methods(["GET", "POST"])
def new(request: PageRequest) -> HttpResponse:
    """A dataset that begins empty: its first version is written in a draft."""
    form = NewForm(request.POST or None)
    if form.is_valid():
        try:
            draft = drafts.begin_dataset(
                form.cleaned_data["name"], request.user, form.cleaned_data["description"]
            )
        except UserError as error:
            form.add_error("name", str(error))
        else:
            return redirect("datasets:draft", draft.pk)
    return render(request, "datasets/new.html", {"form": form}, status=400 if form.errors else 200)


@member
@require_POST
def start(request: PageRequest, pk: int) -> HttpResponse:
    """Open a draft on top of a version."""
    version = get_object_or_404(DatasetVersion.objects.select_related("dataset"), pk=pk)
    try:
        draft = drafts.open_draft(version, request.user, request.POST.get("title", ""))
    except UserError as error:
        messages.error(request, str(error))
        return redirect("datasets:detail", pk)
    return redirect("datasets:draft", draft.pk)


@member
@require_GET
def draft(request: PageRequest, pk: int) -> HttpResponse:
    """A draft: what it changes, who did what, and its way to a version."""
    found = draft_of(pk)
    changes = found.changes.select_related("by").defer("task")
    kind = request.GET.get("kind", "")
    if kind in DraftChange.Kind.values:
        changes = changes.filter(kind=kind)
    page = Paginator(changes, PAGE_SIZE).get_page(request.GET.get("page"))
    base = {}
    if found.base is not None:
        names = [change.external_id for change in page]
        rows = found.base.examples.filter(external_id__in=names)
        base = dict(rows.values_list("external_id", "pk"))
    context = {
        "draft": found,
        "page": page,
        "rows": [
            (change, base.get(change.external_id), editor_url(found, change.external_id))
            for change in page
        ],
        "kind": kind,
        "counts": drafts.counts_of([found])[found.pk],
        "steps": found.steps.select_related("by")[:SHOWN_STEPS],
        "num_wrong": found.changes.exclude(problems=[]).count(),
        "is_open": found.status == DraftVersion.Status.OPEN,
        "overtaken": _overtaken(found),
        "undo": found.steps.filter(
            pk=number(request.GET.get("undo", "")) or 0, is_undone=False
        ).first(),
    }
    return render(request, "datasets/draft.html", context)


def _overtaken(found: DraftVersion) -> DatasetVersion | None:
    """The latest version, where the draft does not stand on it."""
    latest = found.dataset.versions.order_by("-number").first()
    return latest if latest is not None and latest.pk != found.base_id else None


@member
@require_POST
def add(request: PageRequest, pk: int) -> HttpResponse:
    """A new example, empty or a copy of one that the draft has."""
    found = draft_of(pk)
    source = request.POST.get("copy", "")
    try:
        task = drafts.hold(found, source).task if source else None
        change = drafts.add(found, request.user, external_id=request.POST.get("id", ""), task=task)
    except UserError as error:
        messages.error(request, str(error))
        return redirect("datasets:draft", pk)
    return redirect(editor_url(found, change.external_id))


@member
@require_POST
def remove(request: PageRequest, pk: int) -> HttpResponse:
    """Leave an example out; the draft's page offers to undo it."""
    return _step(request, pk, drafts.remove)


@member
@require_POST
def revert(request: PageRequest, pk: int) -> HttpResponse:
    """Bring an example back to what it was in the base."""
    return _step(request, pk, drafts.revert)


def _step(request: PageRequest, pk: int, do: Any) -> HttpResponse:
    found = draft_of(pk)
    try:
        step = do(found, request.POST.get("id", ""), by=request.user)
    except UserError as error:
        messages.error(request, str(error))
        return redirect("datasets:draft", pk)
    return redirect(f"{reverse('datasets:draft', args=[pk])}?undo={step.pk}")


@member
@require_POST
def undo(request: PageRequest, pk: int) -> HttpResponse:
    """Put back what stood before a step."""
    step = get_object_or_404(DraftStep.objects.select_related("draft__dataset"), pk=pk)
    try:
        drafts.undo(step, by=request.user)
    except UserError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"Undone: {step.said}.")
    return redirect("datasets:draft", step.draft_id)


@engineer
@require_POST
def publish(request: PageRequest, pk: int) -> HttpResponse:
    """Make the draft the next version."""
    try:
        found = publishing.publish(draft_of(pk), request.POST.get("note", ""), by=request.user)
    except UserError as error:
        messages.error(request, f"Not published: {error}.")
        return redirect("datasets:draft", pk)
    if found.status != Work.Status.DONE:
        return redirect("datasets:work", found.pk)
    messages.success(request, found.result["said"])
    return redirect("datasets:detail", found.result["version"])


@member
@require_POST
def discard(request: PageRequest, pk: int) -> HttpResponse:
    """Give a draft up: engineers any, others their own."""
    found = draft_of(pk)
    if not drafts.may_discard(found, request.user):
        messages.error(request, drafts.NOT_YOURS)
        return redirect("datasets:draft", pk)
    try:
        drafts.discard(found)
    except UserError as error:
        messages.error(request, str(error))
        return redirect("datasets:draft", pk)
    messages.success(request, f"{found} is discarded.")
    if found.base_id is None:
        return redirect("datasets:list")
    return redirect("datasets:dataset", found.dataset_id)
