"""Traces as pages: the list, one trace with its rubric, and the rollouts of a run by step."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from apps.accounts.guards import PageRequest, reader
from apps.runs.models import Run
from apps.traces import reading
from apps.traces.forms import TraceFilter
from apps.traces.models import Trace

PAGE_SIZE = 50
GROUPS_PER_PAGE = 8


@reader
@require_GET
def list(request: PageRequest) -> HttpResponse:
    form = TraceFilter(request.GET)
    traces = form.narrow(Trace.objects.visible_to(request.user)).select_related("run")
    page = Paginator(traces.order_by("-pk"), PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "traces/list.html", {"page": page, "form": form})


@reader
@require_GET
def detail(request: PageRequest, pk: int) -> HttpResponse:
    """One answer: what was asked, thought and said, and how its score comes about."""
    visible = Trace.objects.visible_to(request.user).select_related("run__pipeline")
    trace = get_object_or_404(visible, pk=pk)
    grades = [*trace.grades.all()]
    place = {"run": trace.run_id, "step": trace.step, "model": trace.model}
    siblings = Trace.objects.filter(**place, example_id=trace.example_id).exclude(pk=pk)
    context = {
        "trace": trace,
        "grades": grades,
        "arithmetic": reading.arithmetic(grades),
        "siblings": siblings,
    }
    return render(request, "traces/detail.html", context)


@reader
@require_GET
def rollouts(request: PageRequest, pk: int) -> HttpResponse:
    """The answers of a run by step: groups of one prompt side by side."""
    run = get_object_or_404(Run.objects.select_related("pipeline"), pk=pk)
    traces = Trace.objects.visible_to(request.user).filter(run=run)
    steps = [*traces.order_by("-step").values_list("step", flat=True).distinct()]
    models = [*traces.order_by("model").values_list("model", flat=True).distinct()]
    step = _chosen(request.GET.get("step", ""), steps)
    found = traces.filter(step=step).prefetch_related("grades")
    if request.GET.get("model") in models:
        found = found.filter(model=request.GET["model"])
    groups = Paginator(reading.groups([*found]), GROUPS_PER_PAGE)
    context = {
        "run": run,
        "tab": "rollouts",
        "step": step,
        "steps": steps,
        "models": models,
        "newer": next((other for other in reversed(steps) if other > step), None),
        "older": next((other for other in steps if other < step), None),
        "page": groups.get_page(request.GET.get("page")),
        "counts": found.aggregate(num=Count("pk")),
    }
    return render(request, "traces/rollouts.html", context)


def _chosen(wanted: str, steps: Sequence[int]) -> int:
    """The step asked for if there is one, else the newest."""
    if wanted.isdecimal() and int(wanted) in steps:
        return int(wanted)
    return steps[0] if steps else 0
