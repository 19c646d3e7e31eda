"""Runs as pages: the list, and one run with its tabs. Starting one is in ``starting``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST
from pydantic import ValidationError

from apps.accounts.guards import PageRequest, engineer
from apps.runs import charts, costing, lines, pipelines, progress, rollback, services, spending
from apps.runs.diagnosis import diagnose, time_shares
from apps.runs.inputs import RollBackForm
from apps.runs.models import ACTIVE, Run, RunQuerySet, Status
from apps.runs.next_steps import next_steps
from apps.runs.numbers import Finding, Step
from kos.config import JOBS, JobConfig
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
    run = visible_run(request, pk)
    context = frame(run, "overview")
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
    context |= {"charted": charted, "findings": _findings(charted)}
    if fragment == "findings":
        return render(request, "runs/_findings.html", context)
    # A pipeline says little itself: its page shows the log of the stage it is at.
    spoken = stage_runs[-1] if stage_runs and not run.is_ended else run
    context |= {
        "panels": charts.panels(charted.kind),
        "table": charts.table(charted),
        "spoken": spoken,
        "stage_runs": stage_runs,
        **_log(spoken, lines.tail(spoken, limit=TAIL)),
        "artifacts": run.artifacts.all(),
        "result": flatten(run.result),
        "origin": rollback.origin_of(run),
        "next_steps": next_steps(run),
    }
    return render(request, "runs/detail.html", context)


@engineer
@require_GET
def diagnosis(request: PageRequest, pk: int) -> HttpResponse:
    """Every number of a training by the question it answers, and what they say in words."""
    run = visible_run(request, pk)
    if not charts.panels(run.kind):
        raise Http404
    steps = charts.steps(run)
    names = sorted({name for step in steps for name in step.metrics})
    findings = diagnose(steps, charts.setup(run))
    good = next((one.good_step for one in findings if one.good_step is not None), None)
    seconds = spending.seconds(steps)
    context = frame(run, "diagnosis") | {
        "charted": run,
        "findings": findings,
        "num_steps": len(steps),
        "groups": charts.groups(names),
        "waits_on": spending.waits_on(time_shares(steps)),
        "spent": spending.spent(steps),
        "seconds": seconds,
        "duration": spending.duration(seconds),
        "suggested": rollback.nearest(run, good) if good is not None else None,
        "kept_steps": rollback.kept_steps(run),
        "origin": rollback.origin_of(run),
        "went_on": rollback.descendants(run),
        "adam": run.config.get("adam") or {},
        **_costs(request, run, steps),
        "table": charts.table(run),
    }
    return render(request, "runs/diagnosis.html", context)


@engineer
@require_GET
def metrics(request: PageRequest, pk: int) -> HttpResponse:
    """The numbers the charts start from; live steps are added in the browser."""
    return JsonResponse(charts.series(visible_run(request, pk)))


@engineer
@require_GET
def log(request: PageRequest, pk: int) -> HttpResponse:
    """The log. With ``after`` only the new lines, with ``before`` a page of older ones."""
    run = visible_run(request, pk)
    after, before = request.GET.get("after", ""), request.GET.get("before", "")
    if request.htmx and after.isdecimal():
        fresh = _log(run, lines.after(run, int(after)), seen=int(after))
        return render(request, "runs/_lines.html", fresh)
    found = lines.before(run, int(before)) if before.isdecimal() else lines.tail(run)
    has_older = bool(found) and bool(lines.before(run, found[0].seq, limit=1))
    context = {**_log(run, found), "has_older": has_older}
    return render(request, "runs/log.html", frame(run, "log") | context)


@engineer
@require_GET
def config(request: PageRequest, pk: int) -> HttpResponse:
    run = visible_run(request, pk)
    context = {
        "config": json.dumps(run.config, indent=2),
        "inputs": run.inputs.select_related("artifact"),
    }
    return render(request, "runs/config.html", frame(run, "config") | context)


@engineer
@require_GET
def artifacts(request: PageRequest, pk: int) -> HttpResponse:
    run = visible_run(request, pk)
    found = run.artifacts.model.objects.filter(run__in=[run, *run.stages.all()])
    context = {"artifacts": found.select_related("run")}
    return render(request, "runs/artifacts.html", frame(run, "artifacts") | context)


@engineer
@require_POST
def stop(request: PageRequest, pk: int) -> HttpResponse:
    services.stop(visible_run(request, pk))
    messages.info(request, "Asked to stop. What was saved stays.")
    return redirect("runs:detail", pk)


@engineer
@require_POST
def resume(request: PageRequest, pk: int) -> HttpResponse:
    try:
        services.resume(visible_run(request, pk))
    except UserError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "Queued again; it goes on from its last checkpoint.")
    return redirect("runs:detail", pk)


@engineer
@require_POST
def roll_back(request: PageRequest, pk: int) -> HttpResponse:
    """A new run from a kept state, with another learning rate or clip if they were changed."""
    run = visible_run(request, pk)
    form = RollBackForm(request.POST)
    if not form.is_valid():
        messages.error(request, form.first_error)
        return redirect("runs:diagnosis", pk)
    try:
        made = rollback.roll_back(run, form.cleaned_data["step"], request.user, form.changes)
    except UserError as error:
        messages.error(request, str(error))
        return redirect("runs:diagnosis", pk)
    messages.success(request, f"{made.name} is queued; {run.name} is left as it is.")
    return redirect("runs:detail", made.pk)


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


def visible_run(request: PageRequest, pk: int) -> Run:
    visible = Run.objects.visible_to(request.user)
    return get_object_or_404(
        visible.select_related("owner", "dataset__dataset", "pipeline"), pk=pk
    )


def frame(run: Run, tab: str) -> dict[str, Any]:
    """What every tab of a run shows around its own content."""
    return {"run": run, "tab": tab, "bar": progress.overall(run), "label": JOBS[run.kind].label()}


def _log(run: Run, found: Sequence[lines.Line], *, seen: int = 0) -> dict[str, Any]:
    """Lines, and after which event the next ones are asked for."""
    return {"log_run": run, "lines": found, "seen": found[-1].seq if found else seen}


def _costs(request: PageRequest, run: Run, steps: Sequence[Step]) -> dict[str, Any]:
    """The estimate made from the config, and what the run's own tokens cost at those prices."""
    prices = costing.prices_form(request.session).prices
    training = costing.training_of(_settings(run))
    dollars = costing.spent_dollars(steps, prices)
    return {
        "estimate": costing.estimated(training, run.dataset, prices) if training else None,
        "cost": f"${dollars:,.2f}" if dollars is not None else "",
    }


def _settings(run: Run) -> JobConfig | None:
    """The run's config; None where it is of an older Kos and cannot be read."""
    try:
        return run.settings
    except ValidationError:
        return None


def _findings(run: Run) -> Sequence[Finding]:
    return diagnose(charts.steps(run), charts.setup(run)) if charts.panels(run.kind) else []


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
