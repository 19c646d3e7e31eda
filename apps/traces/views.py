"""Traces as pages: the list, one trace, two side by side, and the rollouts of a run by step."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.guards import PageRequest, reader
from apps.accounts.numerals import number
from apps.datasets.models import Example
from apps.runs.models import Run
from apps.traces import comparing, origins, paging, reading, services
from apps.traces.forms import TraceFilter
from apps.traces.models import Trace, TraceFlag, TraceQuerySet
from apps.traces.timeline import timeline

GROUPS_PER_PAGE = 8


@reader
@require_GET
def list(request: PageRequest) -> HttpResponse:
    form = TraceFilter(request.GET)
    found = form.narrow(Trace.objects.visible_to(request.user).rows())
    page = paging.page(found, request.GET.get("cursor", ""), is_unordered=form.is_unordered)
    is_filtered = any(request.GET.get(name) for name in form.fields)
    context = {"page": page, "form": form, "is_filtered": is_filtered}
    return render(request, "traces/list.html", context)


@reader
@require_GET
def detail(request: PageRequest, pk: int) -> HttpResponse:
    """One answer: what was asked, looked up, thought and said, and how its score comes about."""
    trace = _get(request, pk)
    grades = [*trace.grades.all()]
    context = {
        "trace": trace,
        "grades": grades,
        "arithmetic": reading.arithmetic(grades),
        "siblings": _siblings(trace),
        "prompt": reading.prompt(trace),
        "turns": reading.turns(trace),
        "calls": reading.calls(trace.tools),
        "timeline": timeline(trace),
        "raised": trace.raised.select_related("by"),
        "kinds": TraceFlag.Kind.choices,
        "example": _example(trace),
    }
    return render(request, "traces/detail.html", context)


@reader
@require_GET
def origin(request: PageRequest, pk: int) -> HttpResponse:
    """Where an answer comes from. The trace's page loads it as a section of its own."""
    trace = _get(request, pk)
    context = {
        "trace": trace,
        "steps": origins.steps(trace),
        "versions": origins.versions(trace),
        "graph_url": origins.graph_url(trace),
    }
    template = "traces/_origin.html" if request.htmx else "traces/origin.html"
    return render(request, template, context)


@reader
@require_POST
def flag(request: PageRequest, pk: int) -> HttpResponse:
    """Say what is wrong with an answer; no kind takes back what one said before."""
    trace = _get(request, pk)
    kinds = [kind for kind in request.POST.getlist("kind") if kind in TraceFlag.Kind]
    note = request.POST.get("note", "").strip()
    services.raise_flags(trace, request.user, kinds, note=note)
    messages.success(request, "Flagged for the review queue." if kinds else "Flags taken back.")
    return redirect("traces:detail", pk)


@reader
@require_GET
def compare(request: PageRequest) -> HttpResponse:
    """Two traces: their answers word by word, and which searches each made."""
    left, right = (_named(request, name) for name in ("a", "b"))
    context = {
        "left": left,
        "right": right,
        "difference": comparing.difference(left.answer, right.answer),
        "pairs": comparing.pairs(reading.calls(left.tools), reading.calls(right.tools)),
        "numbers": comparing.numbers(left, right),
        "versions": comparing.versions(left, right),
        "is_same_question": left.question == right.question,
    }
    return render(request, "traces/compare.html", context)


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


def _get(request: PageRequest, pk: int) -> Trace:
    visible = Trace.objects.visible_to(request.user).select_related("run__pipeline")
    return get_object_or_404(visible, pk=pk)


def _named(request: PageRequest, name: str) -> Trace:
    wanted = request.GET.get(name, "").strip().lstrip("#")
    pk = number(wanted)
    if pk is None:
        raise Http404(f"The address needs ?a= and ?b=, numbers of traces; {name} is none.")
    return _get(request, pk)


def _siblings(trace: Trace) -> TraceQuerySet:
    """Other answers to the same prompt: of the step first, then of other runs and models."""
    same = Trace.objects.filter(example_id=trace.example_id).exclude(pk=trace.pk)
    if trace.origin in (Trace.Origin.CHAT, Trace.Origin.API):
        return same.none()
    return same.filter(run=trace.run, step=trace.step, model=trace.model).rows()


def _example(trace: Trace) -> Example | None:
    """The dataset's row that the prompt comes from."""
    if trace.run is None or trace.run.dataset_id is None:
        return None
    found = Example.objects.filter(
        version_id=trace.run.dataset_id, external_id=trace.example_id
    ).defer("task")
    return found.first()


def _chosen(wanted: str, steps: Sequence[int]) -> int:
    """The step asked for if there is one, else the newest."""
    step = number(wanted)
    if step is not None and step in steps:
        return step
    return steps[0] if steps else 0
