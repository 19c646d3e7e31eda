"""Reports, a run's numbers, comparisons, regressions, and the gate."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Schema
from ninja.errors import HttpError

from apps.accounts.auth import BearerAuth, require_reader
from apps.accounts.models import Scope
from apps.automation.paging import Page, Paging, page, shown
from apps.automation.rest import Id, In
from apps.evals import answers, comparing, regressing, reports
from apps.evals.api.room import Chosen, ModeName, choose, find, router
from apps.evals.overview import Choice
from kos.evals.gate import Limits, check

HTML = {"text/html": {"schema": {"type": "string"}}}


class ReportOut(Schema):
    """A report as its job left it."""

    id: int
    run_id: int
    name: str
    digest: str
    report: dict[str, Any]


class EvaluationRow(Schema):
    id: int
    name: str
    status: str
    dataset: int | None
    scores: dict[str, float | None] = Field(description="Headline by model, as last computed.")
    created: datetime


class RegressionsWanted(Schema):
    model: str = Field(max_length=40)


class SidesWanted(Schema):
    """Two sides, each written `run:model`."""

    baseline: str = Field(max_length=80, examples=["7:base"])
    candidate: str = Field(max_length=80, examples=["9:trained"])


class SidesCompared(SidesWanted):
    mode: ModeName | None = None
    confirmed: bool = Field(False, description="Compare different datasets or judges anyway.")


class SideIn(In):
    run: Id
    model: str = Field(max_length=40)


class GateIn(In):
    """Fails when the loss is certain beyond `max_loss`, a fault rises beyond `max_rise`, or
    more than `max_ungraded` has no verdict. All are shares."""

    candidate: SideIn
    baseline: SideIn
    mode: ModeName | None = None
    max_loss: float = Field(0.0, ge=0, le=1)
    max_rise: float = Field(0.02, ge=0, le=1)
    max_ungraded: float = Field(0.01, ge=0, le=1)
    confirmed: bool = Field(False, description="Compare different datasets or judges anyway.")


@router.get("/", response=Page[ReportOut], summary="Reports as the jobs left them")
def list_(request: HttpRequest, wanted: Query[Paging]) -> dict[str, Any]:
    found = reports.visible_to(require_reader(request))
    return shown(page(found, cursor=wanted.cursor, limit=wanted.limit), _out)


@router.get("/runs", response=Page[EvaluationRow], summary="Evaluations, running ones among them")
def list_runs(request: HttpRequest, wanted: Query[Paging]) -> dict[str, Any]:
    runs = reports.listed(reports.runs_for(require_reader(request)))
    return shown(page(runs, cursor=wanted.cursor, limit=wanted.limit), _row)


@router.get("/runs/{int:pk}", response=dict[str, Any], summary="The numbers of an evaluation")
def get_run(request: HttpRequest, pk: int, wanted: Query[Chosen]) -> dict[str, Any]:
    """Those of its page, overrides in force."""
    run = find(request, pk)
    choice = _chosen(choose(run, wanted))
    numbers = reports.numbers_of(run, choice).numbers
    return {**choice._asdict(), "mode": choice.mode.label, **numbers}


@router.get(
    "/runs/{int:pk}/report.html",
    response={200: None},
    summary="An evaluation as one file",
    openapi_extra={"responses": {200: {"content": HTML}}},
)
def get_html(request: HttpRequest, pk: int, wanted: Query[Chosen]) -> HttpResponse:
    """For somebody without an account."""
    run = find(request, pk)
    answer = HttpResponse(reports.html_of(run, _chosen(choose(run, wanted))))
    answer["Content-Disposition"] = f'attachment; filename="evaluation-{run.pk}.html"'
    return answer


@router.get(
    "/runs/{int:pk}/regressions", response=dict[str, Any], summary="Faults of a model's answers"
)
def get_regressions(
    request: HttpRequest, pk: int, wanted: Query[RegressionsWanted]
) -> dict[str, Any]:
    run = find(request, pk)
    if wanted.model not in answers.models_of(run):
        raise HttpError(404, f"nobody called {wanted.model!r} answered in run {pk}")
    return dict(regressing.measured(run, wanted.model))


@router.get(
    "/compare",
    response={200: dict[str, Any], 404: None, 409: None},
    summary="Two models on the prompts they share",
)
def compare(request: HttpRequest, wanted: Query[SidesCompared]) -> dict[str, Any]:
    user = require_reader(request)
    first = comparing.side_of(user, wanted.baseline)
    second = comparing.side_of(user, wanted.candidate)
    mode = answers.mode_of(second.run, wanted.mode or "")
    return comparing.compared(second, first, mode, confirmed=wanted.confirmed)


@router.get(
    "/compare/regressions",
    response={200: dict[str, Any], 404: None},
    summary="Faults of two models side by side",
)
def compare_regressions(request: HttpRequest, wanted: Query[SidesWanted]) -> dict[str, Any]:
    """Rates of every fault on both sides, with what changed and whether it is certain."""
    user = require_reader(request)
    first = comparing.side_of(user, wanted.baseline)
    second = comparing.side_of(user, wanted.candidate)
    return regressing.compared(second, first)


@router.post(
    "/gate",
    response=dict[str, Any],
    summary="Whether a candidate may pass",
    auth=BearerAuth(Scope.EVALS_READ),
)
def gate(request: HttpRequest, body: GateIn) -> dict[str, Any]:
    """`passed` is what a build should look at. Nothing is kept."""
    user = require_reader(request)
    first, second = (
        comparing.side_of(user, f"{side.run}:{side.model}")
        for side in (body.candidate, body.baseline)
    )
    mode = answers.mode_of(first.run, body.mode or "")
    candidate, baseline = (answers.of_run(side.run, model=side.model) for side in (first, second))
    comparing.refuse(first, second, (candidate, baseline), mode, confirmed=body.confirmed)
    limits = Limits(body.max_loss, body.max_rise, body.max_ungraded)
    return check(candidate, baseline, mode, limits, seed=first.run.seed).to_json()


@router.get("/{int:pk}", response=ReportOut, summary="One report")
def get(request: HttpRequest, pk: int) -> ReportOut:
    return _out(get_object_or_404(reports.visible_to(require_reader(request)), pk=pk))


def _chosen(choice: Choice | None) -> Choice:
    if choice is None:
        raise HttpError(404, "nobody has answered yet")
    return choice


def _row(run: Any) -> EvaluationRow:
    return EvaluationRow(
        id=run.pk,
        name=run.name,
        status=run.status,
        dataset=run.dataset_id,
        scores=dict(reports.values_of(run)),
        created=run.created,
    )


def _out(artifact: Any) -> ReportOut:
    return ReportOut(
        id=artifact.pk,
        run_id=artifact.run_id,
        name=artifact.name,
        digest=artifact.digest,
        report=artifact.summary,
    )
