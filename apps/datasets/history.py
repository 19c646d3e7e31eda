"""What became of a dataset from version to version."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET

from apps.accounts.guards import PageRequest, engineer, member
from apps.accounts.streaming import Streamed
from apps.datasets import diffing
from apps.datasets.diffing import ExampleChange, Kind
from apps.datasets.models import Dataset, DatasetVersion

PAGE_SIZE = 20
SHOWN: tuple[Kind, ...] = ("changed", "added", "removed")


@member
@require_GET
def choose(request: PageRequest, pk: int) -> HttpResponse:
    """Two versions of a dataset by number, as the form sends them."""
    dataset = get_object_or_404(Dataset, pk=pk)
    numbers = [request.GET.get(name, "") for name in ("old", "new")]
    found = {str(one.number): one.pk for one in dataset.versions.order_by().only("number")}
    if not all(number in found for number in numbers):
        raise Http404("there is no such version")
    return redirect("datasets:diff", found[numbers[0]], found[numbers[1]])


@member
@require_GET
def diff(request: PageRequest, old: int, new: int) -> HttpResponse:
    """What was added, removed and changed between two versions of one dataset."""
    before, after = _pair(old, new)
    counts = diffing.counts(before, after)
    kind = _kind(request.GET.get("kind", ""), counts)
    rows = diffing.rows_of(before, after, kind)
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    is_hidden = before.is_restricted or after.is_restricted
    context = {
        "before": before,
        "after": after,
        "kind": kind,
        "kinds": [(name, counts[name]) for name in SHOWN],
        "page": page,
        "is_hidden": is_hidden,
        "rows": [
            (change, [] if is_hidden else _fields(change))
            for change in diffing.pair(before, kind, [*page])
        ],
        "numbers": diffing.numbers(before, after),
        "versions": before.dataset.versions.order_by("-number"),
    }
    return render(request, "datasets/diff.html", context)


@engineer
@require_GET
def diff_export(request: PageRequest, old: int, new: int) -> HttpResponseBase:
    """The diff as JSON lines. Restricted versions have none."""
    before, after = _pair(old, new)
    response = Streamed(diffing.export(before, after), content_type="application/x-ndjson")
    name = f"dataset-{before.dataset_id}-v{before.number}-v{after.number}.jsonl"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _kind(asked: str, counts: dict[Kind, int]) -> Kind:
    """The kind that is asked for, else the first of which there is one."""
    for kind in SHOWN:
        if kind == asked:
            return kind
    return next((kind for kind in SHOWN if counts[kind]), "changed")


def _pair(old: int, new: int) -> tuple[DatasetVersion, DatasetVersion]:
    rows = DatasetVersion.objects.select_related("dataset", "created_by")
    before, after = get_object_or_404(rows, pk=old), get_object_or_404(rows, pk=new)
    if before.dataset_id != after.dataset_id:
        raise Http404("these are versions of two datasets; check their overlap instead")
    return before, after


def _fields(change: ExampleChange) -> Any:
    before = change.before.task if change.before is not None else {}
    after = change.after.task if change.after is not None else {}
    if before.get("restricted") or after.get("restricted"):
        return []
    return diffing.fields(before, after)
