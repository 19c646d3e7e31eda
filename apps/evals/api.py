"""Evaluations over REST: reports, a run's numbers and examples, comparisons, and the gate."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema
from ninja import Status as Answer
from ninja.errors import HttpError

from apps.accounts.auth import BearerAuth, require_reader
from apps.accounts.models import User
from apps.evals import answers, comparing, reports, services
from apps.evals.forms import ExampleFilter
from apps.evals.models import Override
from apps.runs.models import Run
from apps.traces.models import Grade
from kos.evals.gate import Limits, check

router = Router(tags=["evals"], auth=BearerAuth())
MAX_ROWS = 200
ModeName = Literal["healthbench", "healthbench_len", "unit", "raw"]


class ReportOut(Schema):
    id: int
    run_id: int
    name: str
    digest: str
    report: dict[str, Any]


class RunRow(Schema):
    id: int
    name: str
    status: str
    dataset: int | None
    scores: dict[str, float | None] = Field(description="Headline by model, as last computed.")
    created: datetime


class Wanted(Schema):
    """What is asked for. The last model beside the first is the default."""

    model: str = ""
    baseline: str = ""
    mode: ModeName | None = None


class ExampleWanted(Wanted):
    q: str = ""
    slice: str = Field("", description="family=value")
    flag: str = ""
    state: str = ""
    low: float | None = None
    high: float | None = None
    item: str = ""
    sort: str = "worst"
    page: int = Field(1, ge=1)
    limit: int = Field(50, ge=1, le=MAX_ROWS)


class ExamplePage(Schema):
    count: int
    items: list[dict[str, Any]]


class SideIn(Schema):
    run: int
    model: str


class GateIn(Schema):
    """Fails when the loss is certain beyond ``max_loss``, a fault rises beyond ``max_rise``, or
    more than ``max_ungraded`` has no verdict. All are shares."""

    candidate: SideIn
    baseline: SideIn
    mode: ModeName | None = None
    max_loss: float = Field(0.0, ge=0)
    max_rise: float = Field(0.02, ge=0)
    max_ungraded: float = Field(0.01, ge=0)
    confirmed: bool = Field(False, description="Compare different datasets or judges anyway.")


class OverrideIn(Schema):
    met: bool | None = Field(description="null withdraws earlier overrides")
    reason: str = Field(min_length=1)


class OverrideOut(Schema):
    id: int
    grade: int = Field(alias="grade_id")
    met: bool | None
    by: str = Field(alias="by.username")
    reason: str
    created: datetime


@router.get("/", response=list[ReportOut])
def list_reports(request: HttpRequest, limit: int = 50) -> list[ReportOut]:
    """Reports as the jobs left them."""
    found = reports.visible_to(require_reader(request))[: max(1, min(limit, MAX_ROWS))]
    return [_out(artifact) for artifact in found]


@router.get("/runs", response=list[RunRow])
def list_runs(request: HttpRequest, limit: int = 50) -> list[RunRow]:
    """Evaluations, running ones among them."""
    runs = reports.listed(reports.runs_for(require_reader(request)))
    return [
        RunRow(
            id=run.pk,
            name=run.name,
            status=run.status,
            dataset=run.dataset_id,
            scores=dict(reports.values_of(run)),
            created=run.created,
        )
        for run in runs[: max(1, min(limit, MAX_ROWS))]
    ]


@router.get("/runs/{int:pk}", response=dict[str, Any])
def get_run(request: HttpRequest, pk: int, wanted: Query[Wanted]) -> dict[str, Any]:
    """The numbers of a run's page, overrides in force."""
    run = _run(require_reader(request), pk)
    choice = reports.choose(run, _given(wanted))
    if choice is None:
        raise HttpError(404, "nobody has answered yet")
    numbers = reports.numbers_of(run, choice).numbers
    return {**choice._asdict(), "mode": choice.mode.label, **numbers}


@router.get("/runs/{int:pk}/examples", response=ExamplePage)
def list_examples(request: HttpRequest, pk: int, wanted: Query[ExampleWanted]) -> dict[str, Any]:
    """One row a prompt, filtered and sorted as on the page."""
    run = _run(require_reader(request), pk)
    choice = reports.choose(run, _given(wanted))
    if choice is None:
        return {"count": 0, "items": []}
    given = wanted.dict(exclude_none=True)
    found = ExampleFilter(given, reports.numbers_of(run, choice).examples).found()
    start = (wanted.page - 1) * wanted.limit
    return {"count": len(found), "items": found[start : start + wanted.limit]}


@router.get("/compare", response=dict[str, Any])
def compare(
    request: HttpRequest,
    baseline: str,
    candidate: str,
    mode: ModeName | None = None,
    confirmed: bool = False,
) -> dict[str, Any]:
    """Two sides, each written ``run:model``, on the prompts they share."""
    user = require_reader(request)
    first, second = comparing.side_of(user, baseline), comparing.side_of(user, candidate)
    chosen = answers.mode_of(second.run, mode or "")
    return comparing.compared(second, first, chosen, confirmed=confirmed)


@router.post("/gate", response=dict[str, Any])
def gate(request: HttpRequest, body: GateIn) -> dict[str, Any]:
    """Whether the candidate may pass; ``passed`` is what a build should look at."""
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


@router.post("/grades/{int:pk}/override", response={201: OverrideOut})
def override(request: HttpRequest, pk: int, body: OverrideIn) -> Answer[Override]:
    """Let your verdict count over the grader's, which stays as it was."""
    user = request.user
    if not isinstance(user, User) or not user.is_reviewer:
        raise HttpError(403, "this needs the role reviewer")
    grade = get_object_or_404(Grade, pk=pk)
    return Answer(201, services.override(grade, body.met, user, body.reason))


@router.get("/{int:pk}", response=ReportOut)
def get_report(request: HttpRequest, pk: int) -> ReportOut:
    return _out(get_object_or_404(reports.visible_to(require_reader(request)), pk=pk))


def _run(user: User, pk: int) -> Run:
    return get_object_or_404(reports.runs_for(user), pk=pk)


def _given(wanted: Wanted) -> dict[str, str]:
    return {"model": wanted.model, "baseline": wanted.baseline, "mode": wanted.mode or ""}


def _out(artifact: Any) -> ReportOut:
    return ReportOut(
        id=artifact.pk,
        run_id=artifact.run_id,
        name=artifact.name,
        digest=artifact.digest,
        report=artifact.summary,
    )
