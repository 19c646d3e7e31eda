"""Pages of judges: who there is, how far each is to be trusted, and two side by side."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.guards import PageRequest, engineer, reader
from apps.accounts.numerals import number
from apps.evals import charts, judges, services
from apps.evals.forms import CalibrationForm, JudgeForm, StatusForm
from apps.evals.judges import FEW
from apps.evals.models import Judge
from kos.errors import UserError


@reader
@require_GET
def list(request: PageRequest) -> HttpResponse:
    """Every judge with its newest numbers, and what others published."""
    rows = judges.latest_by_judge([*Judge.objects.all()])
    calibrated = [judge for judge, found in rows if found is not None]
    context = {"rows": rows, "calibrated": calibrated, "published": judges.published()}
    return render(request, "evals/judges.html", context)


@reader
@require_GET
def detail(request: PageRequest, pk: int) -> HttpResponse:
    """One judge by its newest calibration, or the one that ``run`` names."""
    judge = get_object_or_404(Judge, pk=pk)
    return _show(request, judge)


def _show(request: PageRequest, judge: Judge, status: int = 200, **bound: Any) -> HttpResponse:
    history = judges.calibrations_of(judge)
    done = [one for one in history if one.report is not None]
    wanted = request.GET.get("run", "")
    shown = next((one for one in done if str(one.run.pk) == wanted), done[0] if done else None)
    context = {
        "judge": judge,
        "history": history,
        "shown": shown,
        "report": shown.report if shown else None,
        "plot": charts.errors_by_length(shown.report["length"])
        if shown and shown.report
        else None,
        "others": Judge.objects.exclude(pk=judge.pk),
        "changes": judge.changes.select_related("by"),
        "published": judges.published(),
        "evaluate": judges.evaluation_with(judge),
        "few": FEW,
        "status_form": StatusForm(initial={"status": judge.status}),
        "calibration_form": CalibrationForm(),
    }
    return render(request, "evals/judge.html", context | bound, status=status)


@engineer
@require_http_methods(["GET", "POST"])
def edit(request: PageRequest, pk: int | None = None) -> HttpResponse:
    """Add a judge, or change where and how it is asked."""
    judge = None if pk is None else get_object_or_404(Judge, pk=pk)
    form = JudgeForm(request.POST or None, instance=judge)
    if request.method == "POST" and form.is_valid():
        saved = form.save()
        messages.success(request, f"{saved.name} is saved.")
        return redirect("evals:judge", saved.pk)
    context = {"form": form, "judge": judge}
    return render(request, "evals/judge_edit.html", context, status=422 if form.errors else 200)


@engineer
@require_POST
def change_status(request: PageRequest, pk: int) -> HttpResponse:
    """Trust it, put it on trial, or retire it."""
    judge = get_object_or_404(Judge, pk=pk)
    form = StatusForm(request.POST)
    if not form.is_valid():
        return _show(request, judge, status=422, status_form=form)
    try:
        services.change_status(judge, by=request.user, **form.cleaned_data)
    except UserError as error:
        form.add_error(None, str(error))
        return _show(request, judge, status=422, status_form=form)
    messages.success(request, f"{judge.name} is {judge.get_status_display().lower()} now.")
    return redirect("evals:judge", pk)


@engineer
@require_POST
def probe(request: PageRequest, pk: int) -> HttpResponse:
    """Ask it for a word now."""
    judge = get_object_or_404(Judge, pk=pk)
    try:
        said = services.probe(judge, request.user)
    except UserError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{judge.name} answers: {said[:80]}")
    return redirect("evals:judge", pk)


@engineer
@require_POST
def calibrate(request: PageRequest, pk: int) -> HttpResponse:
    """Queue a calibration; its page follows it."""
    judge = get_object_or_404(Judge, pk=pk)
    form: forms.Form = CalibrationForm(request.POST)
    if form.is_valid():
        try:
            run = services.start_calibration(judge, by=request.user, **form.cleaned_data)
        except UserError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{run.name} is queued.")
            return redirect("runs:detail", run.pk)
    return _show(request, judge, status=422, calibration_form=form)


@reader
@require_GET
def compare(request: PageRequest) -> HttpResponse:
    """Two judges on one label set: ``a`` and ``b`` are judges, ``labels`` a set both graded."""
    first, second = (_judge(request.GET.get(name, "")) for name in ("a", "b"))
    context: dict[str, Any] = {"all": Judge.objects.all(), "a": first, "b": second, "few": FEW}
    if first and second:
        context |= _compared(request, first, second)
    return render(request, "evals/judges_compare.html", context)


def _compared(request: PageRequest, first: Judge, second: Judge) -> dict[str, Any]:
    sets = [] if first == second else judges.shared_sets(first, second)
    if not sets:
        return {"sets": sets}
    wanted = request.GET.get("labels", "")
    shared = next((one for one in sets if str(one.label_set.pk) == wanted), sets[0])
    try:
        return {"sets": sets, "shared": shared, "found": judges.compared(shared)}
    except UserError as error:
        return {"sets": sets, "shared": shared, "problem": str(error)}


def _judge(pk: str) -> Judge | None:
    if not pk:
        return None
    return get_object_or_404(Judge, pk=number(pk))
