"""One prompt of an evaluation: every sample, every item, and the score written out."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.guards import PageRequest, reader, reviewer
from apps.evals import answers, arithmetic, effective, reports, services
from apps.runs.models import Run
from apps.traces.models import Grade, Trace
from kos.errors import UserError
from kos.evals.scores import Mode

VERDICTS = {"met": True, "not_met": False, "withdraw": None}


class Found(NamedTuple):
    """An answer with the arithmetic of its score, and the others that were given."""

    trace: Trace
    sheet: arithmetic.Sheet
    samples: list[tuple[Trace, float | None]]
    models: list[str]


@reader
@require_GET
def show(request: PageRequest, pk: int, example_id: str) -> HttpResponse:
    run = get_object_or_404(reports.runs_for(request.user), pk=pk)
    mode = answers.mode_of(run, request.GET.get("mode", ""))
    wanted = (request.GET.get("model", ""), request.GET.get("sample", ""))
    found = find(run, example_id, mode, wanted)
    grades = effective.grades_of(found.trace.pk)
    context = {
        **found._asdict(),
        "run": run,
        "mode": mode,
        "groups": _groups(found.sheet),
        "history": [override for grade in grades for override in grade.overrides.all()],
    }
    return render(request, "evals/example.html", context)


def find(run: Run, example_id: str, mode: Mode, wanted: tuple[str, str]) -> Found:
    """The answer to a prompt that ``wanted``, model and sample, names; 404 without any."""
    traces = [*Trace.objects.filter(run=run, example_id=example_id).order_by("model", "sample")]
    if not traces:
        raise Http404
    trace = _chosen(traces, *wanted)
    sheets = {
        one.pk: arithmetic.sheet([*effective.grades_of(one.pk)], chars=len(one.answer), mode=mode)
        for one in traces
        if one.model == trace.model
    }
    return Found(
        trace=trace,
        sheet=sheets[trace.pk],
        samples=[(one, sheets[one.pk].score) for one in traces if one.model == trace.model],
        models=[*dict.fromkeys(one.model for one in traces)],
    )


@reviewer
@require_POST
def override(request: PageRequest, pk: int) -> HttpResponse:
    """A person's verdict over the grader's, or its withdrawal."""
    grade = get_object_or_404(Grade.objects.select_related("trace"), pk=pk)
    trace = grade.trace
    verdict = request.POST.get("met", "")
    try:
        if verdict not in VERDICTS:
            raise UserError("Choose met, not met, or to withdraw the override.")  # noqa: TRY301
        services.override(grade, VERDICTS[verdict], request.user, request.POST.get("reason", ""))
    except UserError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "Kept. The score counts your verdict; the grader's stays.")
    if trace.run_id is None or trace.run is None or trace.run.kind != "evaluate":
        return redirect("traces:detail", trace.pk)
    here = reverse("evals:example", args=[trace.run_id, trace.example_id])
    query = urlencode({"model": trace.model, "sample": str(trace.sample)})
    return redirect(f"{here}?{query}#grade-{grade.pk}")


def _chosen(traces: list[Trace], model: str, sample: str) -> Trace:
    """The sample asked for, else the first of the model, else the first of all."""
    of_model = [one for one in traces if one.model == model] or [
        one for one in traces if one.model == traces[-1].model
    ]
    return next((one for one in of_model if str(one.sample) == sample), of_model[0])


def _groups(found: arithmetic.Sheet) -> list[dict[str, Any]]:
    groups = [
        ("Lost", "wishes not met", found.lost),
        ("Penalties", "faults committed", found.penalties),
        ("Ungraded", "no verdict yet", found.ungraded),
        ("Won", "wishes met", found.won),
        ("Avoided", "faults not committed", found.avoided),
    ]
    return [
        {"title": title, "note": note, "lines": lines} for title, note, lines in groups if lines
    ]
