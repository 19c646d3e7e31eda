"""Datasets going out and held against each other; label sets."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.db.models import Count, Sum
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from apps.accounts.guards import PageRequest, engineer, reader
from apps.datasets import services
from apps.datasets.forms import OverlapForm
from apps.datasets.models import DatasetVersion, LabelSet
from kos.data import exports

PAGE_SIZE = 50


@engineer
@require_GET
def export(request: PageRequest, pk: int, format: str) -> HttpResponseBase:
    """The version as JSON lines. Restricted rows stay; the file's name says how many."""
    version = get_object_or_404(DatasetVersion.objects.select_related("dataset"), pk=pk)
    if format not in exports.EXPORTS:
        raise Http404
    lines = exports.export(services.tasks_of(version), format)
    response = StreamingHttpResponse(lines, content_type="application/x-ndjson")
    response["Content-Disposition"] = (
        f'attachment; filename="dataset-{version.pk}-v{version.number}-{format}.jsonl"'
    )
    return response


@reader
@require_GET
def overlap(request: PageRequest, pk: int) -> HttpResponse:
    """This version's prompts against another's, by id: no text of either is shown."""
    version = get_object_or_404(DatasetVersion.objects.select_related("dataset"), pk=pk)
    form = OverlapForm(request.GET or None)
    context: dict[str, Any] = {"version": version, "form": form}
    if form.is_valid():
        other = form.cleaned_data["evaluation"]
        pairs = services.find_overlaps(version, other, threshold=form.cleaned_data["threshold"])
        context |= {
            "other": other,
            "num_pairs": len(pairs),
            "page": Paginator(pairs, PAGE_SIZE).get_page(request.GET.get("page")),
        }
    return render(request, "datasets/overlap.html", context)


@reader
@require_GET
def labels(request: PageRequest, pk: int) -> HttpResponse:
    """A label set in counts, by category."""
    label_set = get_object_or_404(LabelSet, pk=pk)
    rows = (
        label_set.answers.order_by()
        .values("category")
        .annotate(num=Count("pk"), num_labels=Sum("num_labels"), num_met=Sum("num_met"))
        .order_by("-num", "category")
    )
    totals = label_set.answers.aggregate(
        num=Count("pk"), num_labels=Sum("num_labels"), num_met=Sum("num_met")
    )
    context = {"label_set": label_set, "rows": rows, "totals": totals}
    return render(request, "datasets/labels.html", context)
