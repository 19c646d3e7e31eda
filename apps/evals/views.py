"""Evaluations as pages: the list, and one run in full. Numbers are computed from its grades."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from io import StringIO
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts.guards import PageRequest, engineer, reader
from apps.accounts.streaming import Streamed
from apps.datasets import uploads
from apps.evals import charts, importing, judges, reports
from apps.evals.forms import MODES, ExampleFilter, ImportForm
from apps.evals.overview import Choice
from apps.runs.models import Run
from apps.traces.models import Trace
from kos.errors import UserError

PAGE_SIZE = 50


@reader
@require_GET
def list(request: PageRequest) -> HttpResponse:
    runs = reports.listed(reports.runs_for(request.user))
    page = Paginator(runs, PAGE_SIZE).get_page(request.GET.get("page"))
    rows = [(run, reports.values_of(run)) for run in page]
    return render(request, "evals/list.html", {"page": page, "rows": rows})


@reader
@require_GET
def detail(request: PageRequest, pk: int) -> HttpResponse:
    """A job's report: the page of its run, or the report itself once the answers are gone."""
    artifact = get_object_or_404(reports.visible_to(request.user), pk=pk)
    if reports.has_answers(artifact.run):
        return redirect("evals:run", artifact.run_id)
    return render(
        request,
        "evals/detail.html",
        {"artifact": artifact, "run": artifact.run, "report": reports.page_of(artifact)},
    )


@reader
@require_GET
def show_run(request: PageRequest, pk: int) -> HttpResponse:
    """One evaluation; htmx asks for the numbers alone when an answer was graded."""
    run = _run(request, pk)
    choice = reports.choose(run, request.GET)
    context: dict[str, Any] = {"run": run, "choice": choice, "modes": MODES}
    context["artifact"] = run.artifacts.filter(kind="report").first()
    if choice is None:
        return render(request, "evals/run.html", context)
    found = reports.numbers_of(run, choice)
    context |= _numbers(found.numbers) | _examples(request, run, choice, found.examples)
    context |= {
        "models": [row["model"] for row in found.numbers["models"]],
        "at": found.at,
        "judge": judges.of_run(run),
        "shown": next(row for row in found.numbers["models"] if row["model"] == choice.model),
    }
    is_fragment = request.htmx and "numbers" in request.GET
    return render(request, "evals/_run.html" if is_fragment else "evals/run.html", context)


@reader
@require_GET
def as_json(request: PageRequest, pk: int) -> HttpResponse:
    """The numbers of the page as they are."""
    run = _run(request, pk)
    choice = reports.choose(run, request.GET)
    if choice is None:
        return JsonResponse({"detail": "nobody has answered yet"}, status=404)
    numbers = reports.numbers_of(run, choice).numbers
    return JsonResponse({**choice._asdict(), "mode": choice.mode.label, **numbers})


@reader
@require_GET
def as_csv(request: PageRequest, pk: int) -> HttpResponseBase:
    """The filtered examples as a spreadsheet."""
    run = _run(request, pk)
    choice = reports.choose(run, request.GET)
    examples = [] if choice is None else reports.numbers_of(run, choice).examples
    rows = ExampleFilter(request.GET, examples).found()
    answer = Streamed(_lines(rows), content_type="text/csv")
    answer["Content-Disposition"] = f'attachment; filename="evaluation-{run.pk}-examples.csv"'
    return answer


@reader
@require_GET
def as_html(request: PageRequest, pk: int) -> HttpResponse:
    """The report as one file for somebody without an account."""
    run = _run(request, pk)
    choice = reports.choose(run, request.GET)
    if choice is None:
        raise Http404
    answer = HttpResponse(reports.html_of(run, choice))
    answer["Content-Disposition"] = f'attachment; filename="evaluation-{run.pk}.html"'
    return answer


@engineer
@require_http_methods(["GET", "POST"])
def import_run(request: PageRequest) -> HttpResponse:
    """Keep results made elsewhere as a finished evaluation."""
    form = ImportForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        _, path = uploads.keep(form.cleaned_data["file"], request.user)
        try:
            run = importing.import_finished(
                request.user,
                path,
                name=form.cleaned_data["name"],
                model=form.cleaned_data["model"] or form.cleaned_data["file"].name.split(".")[0],
                dataset=form.cleaned_data["dataset"],
            )
        except UserError as error:
            form.add_error("file", str(error))
        else:
            for note in run.result["notes"]:
                messages.warning(request, note)
            return redirect("evals:run", run.pk)
        finally:
            path.unlink(missing_ok=True)
    return render(request, "evals/import.html", {"form": form}, status=422 if form.errors else 200)


def _run(request: PageRequest, pk: int) -> Run:
    return get_object_or_404(reports.runs_for(request.user), pk=pk)


def _numbers(data: dict[str, Any]) -> dict[str, Any]:
    """The numbers with the geometry of their pictures."""
    summary = data["summary"]
    cross = summary["cross"]
    return {
        "found": data,
        "summary": summary,
        "families": [_family(one) for one in summary["partitions"]],
        "cross": None if cross is None else _heated(cross),
        "scatter": charts.scatter(summary["length"]["points"], summary["length"]["line"]),
        "rates": _rates(summary),
    }


def _family(family: dict[str, Any]) -> dict[str, Any]:
    """A partition with its foot row's check."""
    return family | {"adds_up": abs(family["weighted_sum"] - family["mean"]) < 1e-9}


def _heated(cross: dict[str, Any]) -> dict[str, Any]:
    """The cross table as rows of cells, each with its shade."""
    means = [cell["mean"] for cell in cross["cells"] if cell["mean"] is not None]
    low, high = min(means, default=0), max(means, default=0)
    cells = {(cell["row"], cell["column"]): cell for cell in cross["cells"]}
    rows = [
        {
            "name": row,
            "cells": [
                cells[row, column] | {"heat": charts.heat(cells[row, column]["mean"], low, high)}
                for column in cross["columns"]
            ],
        }
        for row in cross["rows"]
    ]
    return cross | {"table": rows}


def _rates(summary: dict[str, Any]) -> dict[str, Any]:
    """Flags down, all answers and numbers of turns across."""
    places = [*dict.fromkeys(rate["place"] for rate in summary["rates_by_turns"])]
    by_turns = {(rate["flag"], rate["place"]): rate for rate in summary["rates_by_turns"]}
    places = places if len(places) > 1 else []
    rows = [
        rate | {"parts": [by_turns.get((rate["flag"], place)) for place in places]}
        for rate in summary["rates"]
    ]
    return {"places": places, "rows": rows}


def _examples(
    request: PageRequest, run: Run, choice: Choice, found: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    form = ExampleFilter(request.GET, found)
    page = Paginator(form.found(), PAGE_SIZE).get_page(request.GET.get("page"))
    shown = [row["id"] for row in page]
    asked = Trace.objects.filter(run=run, model=choice.model, example_id__in=shown, sample=0)
    questions = dict(asked.values_list("example_id", "question"))
    rows = [(row, questions.get(row["id"], "")) for row in page]
    return {"page": page, "rows": rows, "form": form, "num_examples": len(form.rows)}


def _lines(rows: Any) -> Iterator[str]:
    names = ("id", "score", "delta", "spread", "samples", "chars", "flags", "states", "slices")
    yield _line(names)
    for row in rows:
        yield _line(
            [
                *(row[name] for name in names[:6]),
                " ".join(row["flags"]),
                " ".join(row["states"]),
                "; ".join(f"{family}: {name}" for family, name in row["slices"].items()),
            ]
        )


def _line(values: Any) -> str:
    out = StringIO()
    # A text that a spreadsheet would take for a formula gets a quote in front.
    safe = [f"'{v}" if isinstance(v, str) and v[:1] in "=+-@" and v else v for v in values]
    csv.writer(out).writerow(safe)
    return out.getvalue()
