"""Reports of evaluation runs. What a page shows was computed by the job and never changes."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from apps.accounts.guards import PageRequest, reader
from apps.evals import reports
from kos.evals.report import MODELS

PAGE_SIZE = 50


@reader
@require_GET
def list(request: PageRequest) -> HttpResponse:
    page = Paginator(reports.visible_to(request.user), PAGE_SIZE).get_page(request.GET.get("page"))
    rows = [(artifact, reports.values_of(artifact)) for artifact in page]
    context = {"page": page, "rows": rows, "names": MODELS}
    return render(request, "evals/list.html", context)


@reader
@require_GET
def detail(request: PageRequest, pk: int) -> HttpResponse:
    artifact = get_object_or_404(reports.visible_to(request.user), pk=pk)
    return render(
        request,
        "evals/detail.html",
        {"artifact": artifact, "run": artifact.run, "report": reports.page_of(artifact)},
    )
