"""Starting runs: new ones, ones like another, ones from a step that another kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pydantic
from django.db import transaction
from django.http import HttpRequest
from ninja import Field, Schema, Status
from ninja.errors import ValidationError

from apps.accounts.auth import BearerAuth, require_engineer
from apps.accounts.models import Scope, User
from apps.automation.rest import LARGEST_ID, Id, In
from apps.datasets.models import DatasetVersion, LabelSet
from apps.runs import rollback, services
from apps.runs.api.shapes import RunOut, find, router
from apps.runs.models import Artifact, Run
from apps.runs.presets import PRESETS
from apps.runs.start import costing, keeping
from kos.config import JOBS, JobConfig
from kos.errors import UserError
from kos.rl.costs import Prices


class RunIn(In):
    """What to start. A preset gives the kind and its knobs; ``config`` goes over them."""

    kind: str = Field("", max_length=20, examples=["evaluate"])
    preset: str = Field("", max_length=80, description="Built in, or `kept-7` for a saved one.")
    name: str = Field("", max_length=120)
    config: dict[str, Any] = Field({}, examples=[{"max_tokens": 512}])
    inputs: dict[str, Id] = Field({}, description="Artifact ids by input name.")
    dataset: Id | None = Field(None, description="Id of a dataset version.")
    benchmark: Id | None = Field(None, description="A pipeline's second set to evaluate on.")
    labels: Id | None = Field(None, description="Id of a label set, to calibrate a judge on.")
    seed: int = Field(0, ge=0, le=LARGEST_ID)


class PricesIn(In):
    """Dollars for a million tokens of each kind."""

    prefill: float = Field(ge=0, le=1e6)
    cached: float = Field(0, ge=0, le=1e6)
    sampled: float = Field(ge=0, le=1e6)
    trained: float = Field(ge=0, le=1e6)


class ValidateIn(RunIn):
    prices: PricesIn | None = Field(None, description="For the estimate in dollars.")


class PlanOut(Schema):
    """A start that would be accepted: the whole config, and what it is thought to cost."""

    kind: str
    queue: str = Field(description="What kind of worker takes it.")
    config: dict[str, Any] = Field(description="With every default filled in.")
    estimate: list[str] = Field(description="Sentences; none where nothing is trained.")
    at_most: str = Field(description="The bound, where the estimate rests on an earlier run.")


class CloneIn(In):
    """What differs from the run that is repeated."""

    name: str = Field("", max_length=120, description="Empty: the same.")
    config: dict[str, Any] = Field({}, description="Nested as the config is; goes over it.")
    inputs: dict[str, Id] = {}
    dataset: Id | None = None
    seed: int | None = Field(None, ge=0, le=LARGEST_ID)


class RollBackIn(In):
    """Where to go back to; ``config`` has the knobs to change, nested as the config is."""

    step: int = Field(ge=0, le=LARGEST_ID)
    config: dict[str, Any] = {}


class KindOut(Schema):
    """A kind of job: what it takes, and the JSON schema of its config."""

    kind: str
    label: str
    queue: str
    inputs: dict[str, dict[str, Any]]
    schema_: dict[str, Any] = Field(alias="schema", serialization_alias="schema")


@router.post("/", response={201: RunOut}, summary="Start a run")
def launch(request: HttpRequest, body: RunIn) -> Status[Run]:
    """It is queued at once and starts when a worker is free; follow it at `stream`."""
    user = require_engineer(request)
    kind, config = kind_and_config(user, body)
    given = _given(body) | {"name": body.name, "seed": body.seed}
    run = checked(lambda: services.launch(user, kind, config, **given))
    return Status(201, find(request, run.pk))


@router.post(
    "/validate",
    response=PlanOut,
    summary="Check a start without starting",
    auth=BearerAuth(Scope.RUNS_READ),
)
def validate(request: HttpRequest, body: ValidateIn) -> dict[str, Any]:
    """The same checks as a start, and what it would cost. Nothing is kept."""
    user = require_engineer(request)
    kind, knobs = kind_and_config(user, body)
    given = _given(body)
    with transaction.atomic():
        run = checked(lambda: services.launch(user, kind, knobs, **given))
        config = run.settings
        # A start to the letter, and then it never happened.
        transaction.set_rollback(True)
    return {
        "kind": kind,
        "queue": config.queue,
        "config": config.model_dump(mode="json"),
        **_estimate(config, given["dataset"], body.prices),
    }


@router.get(
    "/kinds", response=list[KindOut], summary="Every kind of job and its knobs", by_alias=True
)
def kinds(request: HttpRequest) -> list[dict[str, Any]]:
    require_engineer(request)
    return [
        {
            "kind": kind,
            "label": job.label(),
            "queue": job.queue,
            "inputs": {
                name: {
                    "kinds": list(wanted.kinds),
                    "is_required": wanted.is_required,
                    "help": wanted.help,
                }
                for name, wanted in job.inputs.items()
            },
            "schema": job.model_json_schema(),
        }
        for kind, job in JOBS.items()
    ]


@router.post("/{int:pk}/clone", response={201: RunOut}, summary="Start a run like another")
def clone(request: HttpRequest, pk: int, body: CloneIn) -> Status[Run]:
    """The same kind, config and inputs, with what is given laid over them."""
    run, user = find(request, pk), require_engineer(request)
    inputs = {item.name: item.artifact for item in run.inputs.select_related("artifact")}
    inputs |= {name: _artifact(name, one) for name, one in body.inputs.items()}
    made = checked(
        lambda: services.launch(
            user,
            run.kind,
            knobs_of(rollback.merged(run.config, body.config)),
            name=body.name or run.name,
            inputs=inputs,
            dataset=run.dataset if body.dataset is None else _version("dataset", body.dataset),
            benchmark=run.benchmark,
            labels=run.label_set,
            seed=run.seed if body.seed is None else body.seed,
        )
    )
    return Status(201, find(request, made.pk))


@router.post("/{int:pk}/roll-back", response={201: RunOut}, summary="Go back to an earlier step")
def roll_back(request: HttpRequest, pk: int, body: RollBackIn) -> Status[Run]:
    """A new run from a state that this one kept, with `config` laid over its knobs."""
    run, owner = find(request, pk), require_engineer(request)
    made = checked(lambda: rollback.roll_back(run, body.step, owner, body.config))
    return Status(201, find(request, made.pk))


@router.get("/{int:pk}/kept-steps", response=list[int], summary="Steps that can be gone back to")
def kept_steps(request: HttpRequest, pk: int) -> list[int]:
    return rollback.kept_steps(find(request, pk))


def kind_and_config(user: User, body: RunIn) -> tuple[str, dict[str, Any]]:
    """What a body asks for, its preset filled in. Raises UserError for unknown names."""
    if not body.preset:
        if body.kind not in JOBS:
            raise UserError(f"kind is {body.kind!r}; there are {', '.join(JOBS)}")
        return body.kind, knobs_of(body.config)
    preset = keeping.find_preset(user, body.preset)
    if preset is None:
        known = ", ".join(PRESETS) or "none"
        raise UserError(f"there is no preset {body.preset!r}; there are {known}")
    if body.kind not in ("", preset.kind):
        raise UserError(f"the preset {body.preset} is of kind {preset.kind}, not {body.kind}")
    return preset.kind, knobs_of(dict(preset.config) | body.config)


def knobs_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config without its kind, which is said beside it."""
    return {name: value for name, value in config.items() if name != "kind"}


def _given(body: RunIn) -> dict[str, Any]:
    """The rows that a body names by their ids."""
    return {
        "inputs": {name: _artifact(name, pk) for name, pk in body.inputs.items()},
        "dataset": _version("dataset", body.dataset),
        "benchmark": _version("benchmark", body.benchmark),
        "labels": _labels(body.labels),
    }


def _estimate(
    config: JobConfig, dataset: DatasetVersion | None, prices: PricesIn | None
) -> dict[str, Any]:
    training = costing.training_of(config)
    if training is None:
        return {"estimate": [], "at_most": ""}
    paid = Prices(**prices.dict(), source="the call") if prices else None
    found = costing.estimated(training, dataset, paid)
    return {"estimate": found.sentences, "at_most": found.at_most}


def checked(make: Any) -> Any:
    """What ``make`` gives; a wrong knob is named by its place in the body."""
    try:
        return make()
    except pydantic.ValidationError as error:
        raise ValidationError(
            [
                {**one, "loc": ("body", "config", *one["loc"])}
                for one in error.errors(include_url=False, include_context=False)
            ]
        ) from error


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
