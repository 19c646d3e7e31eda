"""Datasets going out and held against each other; label sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Sum
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts.guards import PageRequest, engineer, member, reader
from apps.accounts.streaming import Streamed
from apps.datasets import browsing, repeats, services, work
from apps.datasets.forms import OverlapForm
from apps.datasets.models import DatasetVersion, LabelSet, Work
from kos.data import exports
from kos.data.overlap import REPEAT_THRESHOLD
from kos.errors import UserError

PAGE_SIZE = 50


@engineer
@require_GET
def export(request: PageRequest, pk: int, format: str) -> HttpResponseBase:
    """The version as JSON lines. Restricted rows stay; the file's name says how many."""
    version = get_object_or_404(DatasetVersion.objects.select_related("dataset"), pk=pk)
    if format not in exports.EXPORTS:
        raise Http404
    lines = exports.export(services.tasks_of(version), format)
    response = Streamed(lines, content_type="application/x-ndjson")
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


@member
@require_http_methods(["GET", "POST"])
def find_repeats(request: PageRequest, pk: int) -> HttpResponse:
    """Prompts of a version that say the same; a POST looks for them, once for every version."""
    version = get_object_or_404(DatasetVersion.objects.select_related("dataset"), pk=pk)
    if request.method == "POST":
        try:
            found = repeats.look(version, request.user)
        except UserError as error:
            messages.error(request, str(error))
            return redirect("datasets:repeats", pk)
        is_done = found.status == Work.Status.DONE
        return redirect("datasets:repeats", pk) if is_done else redirect("datasets:work", found.pk)
    before = work.latest(version, Work.Kind.REPEATS)
    pairs = before.result.get("pairs", []) if before is not None else []
    page = Paginator(pairs, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "version": version,
        "work": before,
        "page": page,
        "rows": _with_texts(version, [*page]),
        "threshold": REPEAT_THRESHOLD,
    }
    return render(request, "datasets/repeats.html", context)


def _with_texts(version: DatasetVersion, pairs: Sequence[Any]) -> list[dict[str, Any]]:
    """Pairs with the beginning of each prompt; those of benchmarks by id alone."""
    keys = {key for pair in pairs for key in (pair[0], pair[2])}
    lines: dict[int, str] = {}
    if not version.is_restricted:
        rows = version.examples.filter(pk__in=keys)
        lines = {row.pk: browsing.snippet(row.task, ()) for row in rows}
    return [
        {
            "sides": [
                (pair[0], pair[1], lines.get(pair[0], "")),
                (pair[2], pair[3], lines.get(pair[2], "")),
            ],
            "share": 100 * pair[4],
            "is_exact": pair[5],
        }
        for pair in pairs
    ]


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
