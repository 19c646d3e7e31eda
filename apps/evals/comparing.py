"""Two models side by side, of one run or of two: what changed, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from apps.accounts.guards import PageRequest, reader
from apps.accounts.models import User
from apps.accounts.numerals import number
from apps.evals import answers, charts, computing, overview, reports
from apps.evals.forms import MODES
from apps.runs.models import Run
from apps.traces.models import Trace
from kos.errors import UserError
from kos.evals.compare import Setting, compare_runs, judges_of, refuse_unlike
from kos.evals.scores import GradedAnswer, Mode
from kos.evals.summary import plain

RECENT_RUNS = 60
SHOWN = 10


class Side(NamedTuple):
    """One of the two: a model of a run. Written ``12:trained`` in URLs."""

    run: Run
    model: str

    def __str__(self) -> str:
        return f"{self.run.pk}:{self.model}"

    @property
    def label(self) -> str:
        """How it is called on the page."""
        return f"{self.run.name}, {self.model}"


@reader
@require_GET
def show(request: PageRequest) -> HttpResponse:
    context: dict[str, Any] = {"sides": _sides(request.user), "modes": MODES}
    baseline, candidate = (_side(request.user, request.GET.get(name, "")) for name in ("a", "b"))
    context |= {"baseline": baseline, "candidate": candidate}
    if baseline is None or candidate is None:
        return render(request, "evals/compare.html", context)
    mode = answers.mode_of(candidate.run, request.GET.get("mode", ""))
    context["mode"] = mode
    try:
        found = compared(candidate, baseline, mode, confirmed="confirmed" in request.GET)
    except UserError as error:
        context["refusal"] = str(error)
        return render(request, "evals/compare.html", context, status=409)
    return render(request, "evals/compare.html", context | _page(found, candidate, baseline))


@reader
@require_GET
def as_json(request: PageRequest) -> HttpResponse:
    baseline, candidate = (_side(request.user, request.GET.get(name, "")) for name in ("a", "b"))
    if baseline is None or candidate is None:
        raise Http404
    mode = answers.mode_of(candidate.run, request.GET.get("mode", ""))
    try:
        found = compared(candidate, baseline, mode, confirmed="confirmed" in request.GET)
    except UserError as error:
        return JsonResponse({"detail": str(error)}, status=409)
    return JsonResponse(found)


def compared(
    candidate: Side, baseline: Side, mode: Mode, *, confirmed: bool = False
) -> dict[str, Any]:
    """Both sides on the prompts they share, computed once for the same grades.

    Raises UserError where dataset version or judge differ and nobody confirmed.
    """
    key = f"compare:{mode.label}:{candidate.model}:{baseline}"
    basis = f"{answers.basis_of(candidate.run)}|{answers.basis_of(baseline.run)}"
    data = computing.of_run(
        candidate.run, key, lambda: _make(candidate, baseline, mode), basis
    ).data
    _refuse(candidate, baseline, data["judges"], mode, confirmed=confirmed)
    return dict(data)


def refuse(
    candidate: Side,
    baseline: Side,
    graded: tuple[Sequence[GradedAnswer], Sequence[GradedAnswer]],
    mode: Mode,
    *,
    confirmed: bool,
) -> None:
    """Raise UserError where dataset version or judge differ and nobody confirmed."""
    ours, theirs = graded
    judges = [judges_of(theirs), judges_of(ours)]
    _refuse(candidate, baseline, judges, mode, confirmed=confirmed)


def _refuse(
    candidate: Side, baseline: Side, judges: Sequence[str], mode: Mode, *, confirmed: bool
) -> None:
    refuse_unlike(
        (mode, Setting(_digest(candidate.run), judges[1])),
        (mode, Setting(_digest(baseline.run), judges[0])),
        confirmed=confirmed,
    )


def _make(candidate: Side, baseline: Side, mode: Mode) -> dict[str, Any]:
    ours = answers.of_run(candidate.run, model=candidate.model)
    theirs = answers.of_run(baseline.run, model=baseline.model)
    found = compare_runs(ours, theirs, mode, seed=candidate.run.seed, shown=SHOWN)
    points = overview.thinned(found.points)
    judges = [judges_of(theirs), judges_of(ours)]
    return {**plain(replace(found, points=())), "points": points, "judges": judges}


def _page(found: Mapping[str, Any], candidate: Side, baseline: Side) -> dict[str, Any]:
    overall = found["overall"]
    families = [
        {"family": one["family"], "plot": charts.forest(one["rows"])} for one in found["forest"]
    ]
    moved = [row["prompt_id"] for row in (*found["regressions"], *found["gains"])]
    texts = {side: _texts(side, moved) for side in dict.fromkeys((str(baseline), str(candidate)))}
    return {
        "found": found,
        "overall": overall,
        "families": [one for one in families if one["plot"]],
        "histogram": charts.histogram(found["histogram"]),
        "scatter": charts.differences(found["points"], found["length"]),
        "moved": [
            ("Worst regressions", _rows(found["regressions"], texts, baseline, candidate)),
            ("Best gains", _rows(found["gains"], texts, baseline, candidate)),
        ],
        "is_small": overall is not None and overall["delta"]["n"] < 30,
    }


def _rows(
    moved: Sequence[Mapping[str, Any]],
    texts: Mapping[str, Mapping[str, Trace]],
    baseline: Side,
    candidate: Side,
) -> list[dict[str, Any]]:
    return [
        {
            "moved": row,
            "before": texts[str(baseline)].get(row["prompt_id"]),
            "after": texts[str(candidate)].get(row["prompt_id"]),
        }
        for row in moved
    ]


def _texts(side: str, prompts: Sequence[str]) -> dict[str, Trace]:
    """Each prompt's first answer of one side."""
    run, _, model = side.partition(":")
    traces = Trace.objects.filter(run_id=int(run), model=model, example_id__in=prompts)
    return {trace.example_id: trace for trace in traces.order_by("-sample")}


def _digest(run: Run) -> str:
    return run.dataset.digest if run.dataset else ""


def _side(user: User, text: str) -> Side | None:
    """The side that ``12:trained`` names; None for nothing; 404 for what is not there."""
    if not text:
        return None
    pk, _, model = text.partition(":")
    run = get_object_or_404(reports.runs_for(user), pk=number(pk))
    models = answers.models_of(run)
    if model not in models:
        raise Http404
    return Side(run, model)


def side_of(user: User, text: str) -> Side:
    """The side named in an API call; 404 without one."""
    found = _side(user, text)
    if found is None:
        raise Http404
    return found


def _sides(user: User) -> list[Side]:
    """What can be chosen: every model of the latest evaluations."""
    runs = {run.pk: run for run in reports.runs_for(user)[:RECENT_RUNS]}
    pairs = Trace.objects.filter(run__in=runs).order_by("-run_id", "model")
    found = pairs.values_list("run_id", "model").distinct()
    return [Side(runs[int(pk)], model) for pk, model in found]
