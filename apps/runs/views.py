"""Runs as pages: the list, and one run with its tabs. Starting one is in ``starting``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.guards import PageRequest, engineer
from apps.runs import charts, lines, pipelines, progress, services
from apps.runs.models import ACTIVE, Run, RunQuerySet, Status
from kos.config import JOBS
from kos.errors import UserError

PAGE_SIZE = 50
TAIL = 12
FILTERS = {"active": ACTIVE, **{status.value: (status,) for status in Status}}


@engineer
@require_GET
def list(request: PageRequest) -> HttpResponse:
    """All runs; the stages of pipelines stay with their pipeline unless asked for."""
    runs = _filtered(request).select_related("owner", "pipeline")
    page = Paginator(runs, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "rows": [(run, progress.overall(run)) for run in page],
        "kinds": JOBS,
        "statuses": Status.choices,
        "has_stages": "stages" in request.GET,
    }
    is_fragment = request.htmx and "rows" in request.GET
    return render(request, "runs/_rows.html" if is_fragment else "runs/list.html", context)


@engineer
@require_GET
def detail(request: PageRequest, pk: int) -> HttpResponse:
    """The overview. htmx asks for its head or its stages alone when something happened."""
    run = _run(request, pk)
    context = _frame(run, "overview")
    fragment = request.GET.get("fragment") if request.htmx else None
    if fragment == "head":
        return render(request, "runs/_head.html", context)
    context |= {
        "stages": pipelines.stages_of(run) if run.kind == "pipeline" else [],
        "bars": [] if run.kind == "pipeline" else progress.bars(run),
    }
    if fragment in ("stages", "bars"):
        return render(request, f"runs/_{fragment}.html", context)
    stage_runs = [*run.stages.order_by("pk")]
    charted = _charted(run, stage_runs)
    # A pipeline says little itself: its page shows the log of the stage it is at.
    spoken = stage_runs[-1] if stage_runs and not run.is_ended else run
    context |= {
        "charted": charted,
        "panels": charts.panels(charted.kind),
        "table": charts.table(charted),
        "spoken": spoken,
        "stage_runs": stage_runs,
        **_log(spoken, lines.tail(spoken, limit=TAIL)),
        "artifacts": run.artifacts.all(),
        "result": flatten(run.result),
    }
    return render(request, "runs/detail.html", context)


@engineer
@require_GET
def metrics(request: PageRequest, pk: int) -> HttpResponse:
    """The numbers the charts start from; live steps are added in the browser."""
    return JsonResponse(charts.series(_run(request, pk)))


@engineer
@require_GET
def log(request: PageRequest, pk: int) -> HttpResponse:
    """The log. With ``after`` only the new lines, with ``before`` a page of older ones."""
    run = _run(request, pk)
    after, before = request.GET.get("after", ""), request.GET.get("before", "")
    if request.htmx and after.isdecimal():
        fresh = _log(run, lines.after(run, int(after)), seen=int(after))
        return render(request, "runs/_lines.html", fresh)
    found = lines.before(run, int(before)) if before.isdecimal() else lines.tail(run)
    has_older = bool(found) and bool(lines.before(run, found[0].seq, limit=1))
    context = {**_log(run, found), "has_older": has_older}
    return render(request, "runs/log.html", _frame(run, "log") | context)


@engineer
@require_GET
def config(request: PageRequest, pk: int) -> HttpResponse:
    run = _run(request, pk)
    context = {
        "config": json.dumps(run.config, indent=2),
        "inputs": run.inputs.select_related("artifact"),
    }
    return render(request, "runs/config.html", _frame(run, "config") | context)


@engineer
@require_GET
def artifacts(request: PageRequest, pk: int) -> HttpResponse:
    run = _run(request, pk)
    found = run.artifacts.model.objects.filter(run__in=[run, *run.stages.all()])
    context = {"artifacts": found.select_related("run")}
    return render(request, "runs/artifacts.html", _frame(run, "artifacts") | context)


@engineer
@require_POST
def stop(request: PageRequest, pk: int) -> HttpResponse:
    services.stop(_run(request, pk))
    messages.info(request, "Asked to stop. What was saved stays.")
    return redirect("runs:detail", pk)


@engineer
@require_POST
def resume(request: PageRequest, pk: int) -> HttpResponse:
    try:
        services.resume(_run(request, pk))
    except UserError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "Queued again; it goes on from its last checkpoint.")
    return redirect("runs:detail", pk)


def flatten(summary: Any, *, above: str = "") -> dict[str, str]:
    """Nested JSON as one row a value, for a table: ``{"train / reward": "0.41"}``."""
    if isinstance(summary, dict):
        rows: dict[str, str] = {}
        for key, value in summary.items():
            rows |= flatten(value, above=f"{above} / {key}" if above else str(key))
        return rows
    if isinstance(summary, (tuple, type([]))):
        summary = ", ".join(lines.number(value) for value in summary)
    return {above.replace("_", " "): lines.number(summary)}


def _run(request: PageRequest, pk: int) -> Run:
    visible = Run.objects.visible_to(request.user)
    return get_object_or_404(
        visible.select_related("owner", "dataset__dataset", "pipeline"), pk=pk
    )


def _frame(run: Run, tab: str) -> dict[str, Any]:
    """What every tab of a run shows around its own content."""
    return {"run": run, "tab": tab, "bar": progress.overall(run), "label": JOBS[run.kind].label()}


def _log(run: Run, found: Sequence[lines.Line], *, seen: int = 0) -> dict[str, Any]:
    """Lines, and after which event the next ones are asked for."""
    return {"log_run": run, "lines": found, "seen": found[-1].seq if found else seen}


def _charted(run: Run, stage_runs: Sequence[Run]) -> Run:
    """The run whose numbers are drawn: a pipeline's training, or before it the warm start."""
    drawn = [stage for stage in stage_runs if charts.panels(stage.kind)]
    return drawn[-1] if drawn else run


def _filtered(request: PageRequest) -> RunQuerySet:
    runs = Run.objects.visible_to(request.user)
    if request.GET.get("status") in FILTERS:
        runs = runs.filter(status__in=FILTERS[request.GET["status"]])
    if request.GET.get("kind") in JOBS:
        runs = runs.filter(kind=request.GET["kind"])
    return runs if "stages" in request.GET else runs.filter(pipeline=None)
