"""Runs over REST: the same services as the pages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pydantic
from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema
from ninja import Status as Answer
from ninja.errors import ValidationError

from apps.accounts.auth import require_engineer
from apps.accounts.models import User
from apps.datasets.models import DatasetVersion, LabelSet
from apps.runs import charts, rollback, services
from apps.runs.diagnosis import diagnose
from apps.runs.models import Artifact, Event, Run, Status
from apps.runs.numbers import Finding, Level
from apps.runs.presets import PRESETS
from kos.config import JOBS
from kos.errors import UserError

router = Router(tags=["runs"])


class RunIn(Schema):
    """What to start. A preset gives the kind and its knobs; ``config`` goes over them."""

    kind: str = ""
    preset: str = ""
    name: str = Field("", max_length=120)
    config: dict[str, Any] = {}
    inputs: dict[str, int] = Field({}, description="Artifact ids by input name.")
    dataset: int | None = Field(None, description="Id of a dataset version.")
    benchmark: int | None = Field(None, description="A pipeline's second set to evaluate on.")
    labels: int | None = Field(None, description="Id of a label set, to calibrate a judge on.")
    seed: int = Field(0, ge=0, lt=2**63)


class RollBackIn(Schema):
    """Where to go back to; ``config`` has the knobs to change, nested as the config is."""

    step: int = Field(ge=0)
    config: dict[str, Any] = {}


class FindingOut(Schema):
    """A sentence about the run, and one about what would mend it."""

    level: Level
    sentence: str
    advice: str
    good_step: int | None


class RunOut(Schema):
    id: int
    name: str
    kind: str
    status: Status
    owner: str = Field(alias="owner.username")
    pipeline: int | None = Field(None, alias="pipeline_id")
    stage: str
    config: dict[str, Any]
    inputs: dict[str, int]
    dataset: int | None = Field(None, alias="dataset_id")
    benchmark: int | None = Field(None, alias="benchmark_id")
    labels: int | None = Field(None, alias="label_set_id")
    seed: int
    code_revision: str
    attempt: int
    last_seq: int
    progress: dict[str, Any]
    result: dict[str, Any]
    error: str
    created: datetime
    started: datetime | None
    ended: datetime | None

    @staticmethod
    def resolve_inputs(run: Run) -> dict[str, int]:
        return {item.name: item.artifact_id for item in run.inputs.all()}


class RunPage(Schema):
    """Newest first; ``next`` is the ``before`` of the following page."""

    items: list[RunOut]
    next: int | None


class RunFilter(Schema):
    status: Status | None = None
    kind: str | None = None
    before: int | None = Field(None, description="Only runs with a smaller id.")
    limit: int = Field(50, ge=1, le=200)


class EventFilter(Schema):
    after: int = 0
    limit: int = Field(500, ge=1, le=5000)


class EventOut(Schema):
    seq: int
    attempt: int
    kind: str
    at: datetime
    data: dict[str, Any]


class ArtifactOut(Schema):
    id: int
    run: int = Field(alias="run_id")
    kind: str
    name: str
    digest: str
    size_bytes: int
    summary: dict[str, Any]
    created: datetime


@router.post("/", response={201: RunOut})
def launch(request: HttpRequest, body: RunIn) -> Answer[Run]:
    """Start a run."""
    user = require_engineer(request)
    kind, config = _kind_and_config(body)
    try:
        run = services.launch(
            user,
            kind,
            config,
            name=body.name,
            inputs={name: _artifact(name, pk) for name, pk in body.inputs.items()},
            dataset=_version("dataset", body.dataset),
            benchmark=_version("benchmark", body.benchmark),
            labels=_labels(body.labels),
            seed=body.seed,
        )
    except pydantic.ValidationError as error:
        raise _wrong_knob(error) from error
    return Answer(201, run)


@router.get("/", response=RunPage)
def list_runs(request: HttpRequest, wanted: Query[RunFilter]) -> dict[str, Any]:
    """Runs, newest first."""
    runs = _visible(request)
    for name in ("status", "kind"):
        if (value := getattr(wanted, name)) is not None:
            runs = runs.filter(**{name: value})
    if wanted.before is not None:
        runs = runs.filter(pk__lt=wanted.before)
    found = list(runs[: wanted.limit + 1])
    items = found[: wanted.limit]
    return {"items": items, "next": items[-1].pk if len(found) > wanted.limit else None}


@router.get("/{int:pk}", response=RunOut)
def detail(request: HttpRequest, pk: int) -> Run:
    return _run(request, pk)


@router.get("/{int:pk}/events", response=list[EventOut])
def events(request: HttpRequest, pk: int, wanted: Query[EventFilter]) -> QuerySet[Event]:
    """What the run said after event ``after``."""
    return _run(request, pk).events.filter(seq__gt=wanted.after)[: wanted.limit]


@router.get("/{int:pk}/artifacts", response=list[ArtifactOut])
def artifacts(request: HttpRequest, pk: int) -> QuerySet[Artifact]:
    """What the run, or a stage of it, kept."""
    run = _run(request, pk)
    return Artifact.objects.filter(run=run) | Artifact.objects.filter(run__pipeline=run)


@router.post("/{int:pk}/stop", response=RunOut)
def stop(request: HttpRequest, pk: int) -> Run:
    """Ask the run to stop; it keeps what it made. One that ended stays as it is."""
    services.stop(_run(request, pk))
    return _run(request, pk)


@router.post("/{int:pk}/resume", response=RunOut)
def resume(request: HttpRequest, pk: int) -> Run:
    """Queue a failed or stopped run again; it goes on from its checkpoint."""
    run = _run(request, pk)
    if not run.can_resume:
        raise UserError(f"run {pk} is {run.status}; only a failed or stopped run can be resumed")
    services.resume(run)
    return _run(request, pk)


@router.get("/{int:pk}/diagnosis", response=list[FindingOut])
def diagnosis(request: HttpRequest, pk: int) -> list[Finding]:
    """What a training's numbers say in plain sentences, gravest first; empty when all is well."""
    run = _run(request, pk)
    return diagnose(charts.steps(run), charts.setup(run)) if charts.panels(run.kind) else []


@router.post("/{int:pk}/roll-back", response={201: RunOut})
def roll_back(request: HttpRequest, pk: int, body: RollBackIn) -> Answer[Run]:
    """A new run from a state that this one kept, with ``config`` laid over its knobs."""
    run, owner = _run(request, pk), require_engineer(request)
    try:
        made = rollback.roll_back(run, body.step, owner, body.config)
    except pydantic.ValidationError as error:
        raise _wrong_knob(error) from error
    return Answer(201, _run(request, made.pk))


def _visible(request: HttpRequest) -> QuerySet[Run]:
    user: User = require_engineer(request)
    return Run.objects.visible_to(user).select_related("owner").prefetch_related("inputs").all()


def _run(request: HttpRequest, pk: int) -> Run:
    return get_object_or_404(_visible(request), pk=pk)


def _kind_and_config(body: RunIn) -> tuple[str, dict[str, Any]]:
    if not body.preset:
        if body.kind not in JOBS:
            raise UserError(f"kind is {body.kind!r}; there are {', '.join(JOBS)}")
        return body.kind, body.config
    preset = PRESETS.get(body.preset)
    if preset is None:
        known = ", ".join(PRESETS) or "none"
        raise UserError(f"there is no preset {body.preset!r}; there are {known}")
    return preset.kind, dict(preset.config) | body.config


def _wrong_knob(error: pydantic.ValidationError) -> ValidationError:
    return ValidationError(
        [{**one, "loc": ("body", "config", *one["loc"])} for one in error.errors()]
    )


def _artifact(name: str, pk: int) -> Artifact:
    artifact = Artifact.objects.filter(pk=pk).first()
    if artifact is None:
        raise UserError(f"{name}: there is no artifact {pk}")
    return artifact


def _labels(pk: int | None) -> LabelSet | None:
    if pk is None:
        return None
    found = LabelSet.objects.filter(pk=pk).first()
    if found is None:
        raise UserError(f"labels: there is no label set {pk}")
    return found


def _version(name: str, pk: int | None) -> DatasetVersion | None:
    if pk is None:
        return None
    version = DatasetVersion.objects.filter(pk=pk).first()
    if version is None:
        raise UserError(f"{name}: there is no dataset version {pk}")
    return version
