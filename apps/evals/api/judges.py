"""Judges over REST: which there are, how far they are trusted, and how they hold against people."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Schema, Status
from ninja.errors import HttpError

from apps.accounts.auth import require_engineer, require_reader
from apps.automation.paging import Page, Paging, page
from apps.automation.rest import Id, In
from apps.datasets.models import LabelSet
from apps.evals import judges, services
from apps.evals.api.room import LabelsRef, router
from apps.evals.models import Judge, JudgeChange


class JudgeOut(Schema):
    id: int
    name: str
    url: str
    model: str
    asks: str
    max_tokens: int
    prompt_price: float
    completion_price: float
    key_name: str = Field(description="Of a kept key; never its text.")
    status: str
    note: str
    created: datetime


class JudgeIn(In):
    """A language model that grades, behind an OpenAI-compatible address."""

    name: str = Field(min_length=1, max_length=60)
    url: str = Field(max_length=300, pattern=r"^http(s|\+unix)?://\S+$")
    model: str = Field(min_length=1, max_length=120)
    asks: Literal["item", "rubric"] = "item"
    max_tokens: int = Field(1024, ge=16, le=32_768)
    prompt_price: float = Field(0, ge=0, le=1e6)
    completion_price: float = Field(0, ge=0, le=1e6)
    key_name: str = Field("", max_length=60, pattern=r"^([a-z][a-z0-9_.-]*)?$")
    note: str = Field("", max_length=20_000)


class JudgePatch(In):
    """What is left out stays as it is. How far it is trusted is changed apart, with a reason."""

    name: str | None = Field(None, min_length=1, max_length=60)
    url: str | None = Field(None, max_length=300, pattern=r"^http(s|\+unix)?://\S+$")
    model: str | None = Field(None, min_length=1, max_length=120)
    asks: Literal["item", "rubric"] | None = None
    max_tokens: int | None = Field(None, ge=16, le=32_768)
    prompt_price: float | None = Field(None, ge=0, le=1e6)
    completion_price: float | None = Field(None, ge=0, le=1e6)
    key_name: str | None = Field(None, max_length=60, pattern=r"^([a-z][a-z0-9_.-]*)?$")
    note: str | None = Field(None, max_length=20_000)


class ProbeOut(Schema):
    said: str = Field(description="What it answered.")


class JudgesWanted(Schema):
    a: Id
    b: Id
    labels: Id | None = Field(None, description="A label set both graded; empty: the newest.")


class JudgesCompared(Schema):
    labels: int | None = Field(description="null: no label set was graded by both.")
    shared: list[LabelsRef] = Field(description="The label sets that both graded.")
    found: dict[str, Any] | None


class StatusIn(In):
    status: Literal["trial", "trusted", "retired"]
    reason: str = Field(min_length=1, max_length=1000)


class JudgeChangeOut(Schema):
    status: str
    reason: str
    by: str = Field(alias="by.username")
    created: datetime


class CalibrateIn(In):
    labels: Id = Field(description="Id of a label set.")
    max_rows: int = Field(0, ge=0, le=1_000_000, description="0 takes all.")
    seed: int = Field(0, ge=0, le=2**31 - 1)


class CalibrationOut(Schema):
    """A run that held the judge against people; `report` once it is done."""

    run: int
    status: str
    report: dict[str, Any] | None


class CalibrationRef(Schema):
    run_id: int


@router.get("/judges", response=Page[JudgeOut], summary="Every judge by its name")
def list_judges(request: HttpRequest, wanted: Query[Paging]) -> dict[str, Any]:
    found = page(_judges(request), cursor=wanted.cursor, limit=wanted.limit, key="name")
    return found


@router.post("/judges", response={201: JudgeOut}, summary="Add a judge, on trial")
def add_judge(request: HttpRequest, body: JudgeIn) -> Status[Judge]:
    require_engineer(request)
    return Status(201, services.add_judge(**body.dict()))


@router.get(
    "/judges/compare",
    response={200: JudgesCompared, 404: None, 409: None},
    summary="Two judges on the same labels",
)
def compare_judges(request: HttpRequest, wanted: Query[JudgesWanted]) -> dict[str, Any]:
    first, second = _judge(request, wanted.a), _judge(request, wanted.b)
    sets = [] if first == second else judges.shared_sets(first, second)
    if wanted.labels is not None and wanted.labels not in {one.label_set.pk for one in sets}:
        raise HttpError(404, f"not both judges were held against label set {wanted.labels}")
    chosen = next((one for one in sets if wanted.labels in (None, one.label_set.pk)), None)
    return {
        "labels": chosen.label_set.pk if chosen else None,
        "shared": [{"id": one.label_set.pk, "name": one.label_set.name} for one in sets],
        "found": judges.compared(chosen) if chosen else None,
    }


@router.get("/judges/{int:pk}", response=JudgeOut, summary="One judge")
def get_judge(request: HttpRequest, pk: int) -> Judge:
    return get_object_or_404(_judges(request), pk=pk)


@router.patch("/judges/{int:pk}", response=JudgeOut, summary="Change a judge")
def update_judge(request: HttpRequest, pk: int, body: JudgePatch) -> Judge:
    """Where and how it is asked; it is calibrated anew after that."""
    require_engineer(request)
    return services.change_judge(_judge(request, pk), **body.dict(exclude_none=True))


@router.post("/judges/{int:pk}/probe", response=ProbeOut, summary="Ask a judge for a word")
def probe_judge(request: HttpRequest, pk: int) -> dict[str, str]:
    """Now; 409 says what is wrong."""
    user = require_engineer(request)
    return {"said": services.probe(_judge(request, pk), user)}


@router.post("/judges/{int:pk}/status", response=JudgeChangeOut, summary="Trust or retire a judge")
def change_judge(request: HttpRequest, pk: int, body: StatusIn) -> JudgeChange:
    """The reason is kept for good."""
    user = require_engineer(request)
    return services.change_status(_judge(request, pk), body.status, user, body.reason)


@router.get(
    "/judges/{int:pk}/changes", response=Page[JudgeChangeOut], summary="Who trusted it, and why"
)
def list_judge_changes(request: HttpRequest, pk: int, wanted: Query[Paging]) -> dict[str, Any]:
    found = _judge(request, pk).changes.select_related("by")
    return page(found, cursor=wanted.cursor, limit=wanted.limit)


@router.post(
    "/judges/{int:pk}/calibrate", response={202: CalibrationRef}, summary="Hold it against people"
)
def calibrate_judge(request: HttpRequest, pk: int, body: CalibrateIn) -> Status[dict[str, int]]:
    user = require_engineer(request)
    run = services.start_calibration(
        _judge(request, pk),
        get_object_or_404(LabelSet, pk=body.labels),
        by=user,
        max_rows=body.max_rows,
        seed=body.seed,
    )
    return Status(202, {"run_id": run.pk})


@router.get(
    "/judges/{int:pk}/calibrations",
    response=list[CalibrationOut],
    summary="How it held against people, newest first",
)
def list_calibrations(request: HttpRequest, pk: int) -> list[dict[str, Any]]:
    return [
        {"run": one.run.pk, "status": one.run.status, "report": one.report}
        for one in judges.calibrations_of(_judge(request, pk))
    ]


def _judges(request: HttpRequest) -> QuerySet[Judge]:
    require_reader(request)
    return Judge.objects.all()


def _judge(request: HttpRequest, pk: int) -> Judge:
    return get_object_or_404(_judges(request), pk=pk)
