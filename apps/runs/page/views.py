"""One run as pages: its overview, diagnosis and artifacts, and what its buttons do.

The list is in ``listing``, the log in ``logbook``, the config in ``configs``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.core.cache import cache
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.guards import PageRequest, engineer
from apps.runs import rollback, services
from apps.runs.artifacts.shelf import next_steps as uses
from apps.runs.figures import charts, metrics, pinning
from apps.runs.figures.diagnosis import diagnose, time_shares
from apps.runs.figures.numbers import Finding, Step
from apps.runs.lists import organising
from apps.runs.models import Artifact, Run
from apps.runs.page import flow, lines, logbook, overview, progress, spending
from apps.runs.page.frame import flatten, frame, visible_run
from apps.runs.page.next_steps import next_steps
from apps.runs.start import costing
from apps.runs.start.inputs import RollBackForm
from kos.errors import UserError

TAIL = 12


@engineer
@require_GET
def detail(request: PageRequest, pk: int) -> HttpResponse:
    """The overview. htmx asks for one part of it alone when something happened."""
    run = visible_run(request, pk)
    fragment = request.GET.get("fragment", "") if request.htmx else ""
    if fragment in FRAGMENTS:
        return render(request, f"runs/_{fragment}.html", FRAGMENTS[fragment](request, run))
    # A pipeline says little itself: its page shows the log of the stage it is at.
    stage_runs = [*run.stages.order_by("pk")]
    spoken = stage_runs[-1] if stage_runs and not run.is_ended else run
    charted = _charted(run, stage_runs)
    said = lines.tail(spoken, limit=TAIL)
    context = {
        **_head(request, run),
        **_stages(request, run),
        **_bars(request, run),
        **_findings(request, run, charted),
        "panels": pinning.overview(charted, request.user),
        "table": charts.table(charted),
        "spoken": spoken,
        "stage_runs": stage_runs,
        **logbook.context(spoken, said),
        "artifacts": Artifact.objects.filter(run__in=[run, *stage_runs]).order_by("pk"),
        "result": flatten(run.result),
        "origin": rollback.origin_of(run),
        "next_steps": next_steps(run),
        "known_tags": organising.known_tags(),
        "report": overview.report(run, said, request.build_absolute_uri()) if run.error else "",
    }
    return render(request, "runs/detail.html", context)


@engineer
@require_GET
def diagnosis(request: PageRequest, pk: int) -> HttpResponse:
    """Every number of a training by the question it answers, and what they say in words."""
    run = visible_run(request, pk)
    if not charts.panels(run.kind):
        raise Http404
    steps, whole = charts.steps(run), charts.summed(run)
    findings = diagnose(steps, charts.setup(run))
    good = next((one.good_step for one in findings if one.good_step is not None), None)
    seconds = spending.seconds(whole)
    context = frame(run, "diagnosis") | {
        "charted": run,
        "findings": findings,
        "num_steps": metrics.last_step(run) or 0,
        "groups": pinning.groups(run, metrics.names(run)),
        "waits_on": spending.waits_on(time_shares(steps)),
        "spent": spending.spent(whole),
        "seconds": seconds,
        "duration": spending.duration(seconds),
        "suggested": rollback.nearest(run, good) if good is not None else None,
        "kept_steps": rollback.kept_steps(run),
        "origin": rollback.origin_of(run),
        "went_on": rollback.descendants(run),
        "adam": run.config.get("adam") or {},
        **_costs(request, run, whole),
        "table": charts.table(run),
    }
    return render(request, "runs/diagnosis.html", context)


@engineer
@require_GET
def artifacts(request: PageRequest, pk: int) -> HttpResponse:
    run = visible_run(request, pk)
    found = Artifact.objects.filter(run__in=[run, *run.stages.all()]).select_related("run")
    context = {"artifacts": [(one, [] if one.freed else uses(one)) for one in found]}
    return render(request, "runs/artifacts.html", frame(run, "artifacts") | context)


@engineer
@require_POST
def stop(request: PageRequest, pk: int) -> HttpResponse:
    """Ask the run to stop, and say what stays."""
    run = visible_run(request, pk)
    services.stop(run)
    messages.info(request, _stays(run))
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


def _head(request: PageRequest, run: Run) -> dict[str, Any]:
    """Other tabs have the head without the grid of facts."""
    if request.htmx and "facts" not in request.GET:
        return frame(run, request.GET.get("tab", ""))
    prices = costing.prices_form(request.session).prices
    return frame(run, "overview") | {"facts": overview.facts(run, prices)}


def _stages(request: PageRequest, run: Run) -> dict[str, Any]:
    return {"run": run, "picture": flow.picture(run) if run.kind == "pipeline" else None}


def _bars(request: PageRequest, run: Run) -> dict[str, Any]:
    return {"run": run, "bars": [] if run.kind == "pipeline" else progress.bars(run)}


def _findings(request: PageRequest, run: Run, charted: Run | None = None) -> dict[str, Any]:
    charted = charted or _charted(run, [*run.stages.order_by("pk")])
    return {"run": run, "charted": charted, "findings": _found(charted)}


# The parts of the overview that are drawn anew by themselves.
FRAGMENTS = {"head": _head, "stages": _stages, "bars": _bars, "findings": _findings}


def _costs(request: PageRequest, run: Run, steps: Sequence[Step]) -> dict[str, Any]:
    """The estimate made from the config, and what the run's own tokens cost at those prices."""
    prices = costing.prices_form(request.session).prices
    training = costing.training_of(run.known_settings)
    dollars = costing.spent_dollars(steps, prices)
    return {
        "estimate": costing.estimated(training, run.dataset, prices) if training else None,
        "cost": f"${dollars:,.2f}" if dollars is not None else "",
    }


def _stays(run: Run) -> str:
    if not run.started:
        return "Stopped before it began: nothing was made."
    safe = overview.safe(run)
    if safe is None:
        return "Asked to stop. What was saved stays; there is no checkpoint to resume from yet."
    return f"Asked to stop. What was saved stays; Resume goes on after step {safe.step}."


def _found(run: Run) -> Sequence[Finding]:
    """Judged once for everybody who watches: the number of its last event says what is new."""
    if not charts.panels(run.kind):
        return []
    key = f"findings:{run.pk}:{run.last_seq}"
    found: Sequence[Finding] | None = cache.get(key)
    if found is None:
        found = diagnose(charts.steps(run), charts.setup(run))
        cache.set(key, found)
    return found


def _charted(run: Run, stage_runs: Sequence[Run]) -> Run:
    """The run whose numbers are drawn: a pipeline's training, or before it the warm start."""
    drawn = [stage for stage in stage_runs if charts.panels(stage.kind)]
    return drawn[-1] if drawn else run
