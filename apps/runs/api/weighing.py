"""What a job would make and take, over REST, before it starts: tensors, sizes, memory and time."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Schema
from pydantic import BeforeValidator, WithJsonSchema

from apps.accounts.auth import BearerAuth, require_engineer
from apps.accounts.models import Scope
from apps.automation.rest import Id, In
from apps.runs.api import models
from apps.runs.api.launching import checked
from apps.runs.api.shapes import router
from apps.runs.models import Artifact
from apps.runs.start import machines, weighing
from kos.config import JOBS, Export, Merge
from kos.errors import UserError
from kos.weights.costs import Machine, Workload
from kos.weights.formats.base import FORMATS

KINDS = [cls.model_fields["kind"].default for cls in FORMATS]
READ = BearerAuth(Scope.RUNS_READ)


def _known(value: Any) -> Any:
    if value not in KINDS:
        raise ValueError(f"{value!r} is none of {', '.join(KINDS)}")
    return value


Format = Annotated[str, BeforeValidator(_known), WithJsonSchema({"type": "string", "enum": KINDS})]


class CostsIn(In):
    """A model, a format, and where it would run; what is left out takes its default."""

    model: Id | None = Field(None, description="Id of a base; null: Kimi K2.5 as released.")
    format: Format = Field("nvfp4", description="How it would be exported.")
    machine: Machine = Machine()
    workload: Workload = Workload()


class JobCostOut(Schema):
    """One job; bytes and seconds, `gpu_bytes` of each GPU."""

    job: str
    memory_bytes: float
    disk_bytes: float
    gpu_bytes: float
    seconds: float
    limit: str = Field(description="What the time is bound by.")
    fits: bool
    why: str = Field(description="Why it does not fit.")


class CostsOut(Schema):
    label: str = Field(description="What these numbers are.")
    parameters: int
    active_parameters: int = Field(description="Those that one token meets.")
    bytes_before: int
    bytes_after: int
    bytes_bf16: int
    kv_bytes_per_token: int
    jobs: list[JobCostOut]


class PreviewIn(In):
    """An export or a merge as it would be started."""

    kind: Literal["export", "merge"]
    config: dict[str, Any] = {}
    inputs: dict[str, Id] = Field(description="Artifact ids by input name.")
    most: int = Field(200, ge=0, le=100_000, description="Tensors that are named one by one.")


class PreviewOut(Schema):
    """From the files' headers alone: which tensor falls where, and what the result weighs."""

    kind: str
    plan: dict[str, Any]


@models.router.post(
    "/costs", response=CostsOut, summary="What a model takes on a machine", auth=READ
)
def costs(request: HttpRequest, body: CostsIn) -> dict[str, Any]:
    """Merging, calibrating, exporting and serving it: calculated from its shapes and the
    machine's rates. Real runs also wait."""
    require_engineer(request)
    bases = Artifact.objects.filter(kind=Artifact.Kind.BASE)
    base = get_object_or_404(bases, pk=body.model) if body.model is not None else None
    found = machines.calculated(base, body.format, body.machine, body.workload)
    return {
        "label": found.label,
        "parameters": found.parameters.total,
        "active_parameters": found.parameters.active,
        "bytes_before": found.preview.bytes_before,
        "bytes_after": found.preview.bytes_after,
        "bytes_bf16": found.bf16_bytes,
        "kv_bytes_per_token": found.kv_bytes_per_token,
        "jobs": [job.show() for job in found.jobs],
    }


@router.post(
    "/preview",
    response=PreviewOut,
    summary="Which tensors an export or a merge changes",
    auth=READ,
)
def preview(request: HttpRequest, body: PreviewIn) -> dict[str, Any]:
    """Nothing is started and no weight is read."""
    require_engineer(request)
    config = checked(lambda: JOBS[body.kind].model_validate({**body.config, "kind": body.kind}))
    found = {name: _input(config, name, body.inputs.get(name)) for name in config.inputs}
    if unknown := sorted(body.inputs.keys() - found.keys()):
        raise UserError(f"{body.kind} has no input {', '.join(unknown)}")
    plan = _export(config, found) if isinstance(config, Export) else _merge(config, found)
    for name in ("targets", "dropped"):
        if name in plan:
            plan |= {f"num_{name}": len(plan[name]), name: plan[name][: body.most]}
    plan.pop("by_source", None)
    return {"kind": body.kind, "plan": plan}


def _export(config: Export, found: dict[str, Artifact | None]) -> dict[str, Any]:
    model = found["model"]
    if model is None:
        raise UserError("export needs the model to quantise, as the input `model`")
    return weighing.quantised(config, model).show()


def _merge(config: Merge, found: dict[str, Artifact | None]) -> dict[str, Any]:
    base = found["base"]
    if base is None:
        raise UserError("merge needs the base to merge into, as the input `base`")
    return weighing.merged(config, base, found["adapter"]).show()


def _input(config: Export | Merge, name: str, pk: int | None) -> Artifact | None:
    if pk is None:
        return None
    kinds = config.inputs[name].kinds
    artifact = Artifact.objects.filter(pk=pk, kind__in=kinds).first()
    if artifact is None:
        raise UserError(f"{name}: there is no artifact {pk} of the kinds {', '.join(kinds)}")
    return artifact
