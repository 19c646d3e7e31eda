"""What a run looks like over REST, and how a call finds the run it means."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Field, Schema
from ninja.errors import HttpError

from apps.accounts.auth import require_engineer
from apps.accounts.models import Scope
from apps.automation.rest import Room
from apps.runs.models import Run, RunQuerySet, Status

router = Room("runs", reading=Scope.RUNS_READ, writing=Scope.RUNS_WRITE)

# What PATCH changes, and therefore what the ETag is of.
EDITABLE = ("name", "notes", "tags", "is_archived", "priority")


class RunRow(Schema):
    """A run in a list: without its config and what it found, which may be long."""

    id: int
    name: str
    kind: str
    status: Status
    owner: str = Field(alias="owner.username")
    pipeline: int | None = Field(None, alias="pipeline_id")
    stage: str
    tags: list[str]
    is_archived: bool
    priority: int
    dataset: int | None = Field(None, alias="dataset_id")
    attempt: int
    last_seq: int = Field(description="Number of the last event it said.")
    progress: dict[str, Any] = Field(description="Done, total and unit by stage.")
    error: str
    created: datetime
    started: datetime | None
    ended: datetime | None


class RunOut(RunRow):
    """One run with all that is known of it."""

    config: dict[str, Any]
    inputs: dict[str, int] = Field(description="Artifact ids by input name.")
    benchmark: int | None = Field(None, alias="benchmark_id")
    labels: int | None = Field(None, alias="label_set_id")
    seed: int
    code_revision: str
    notes: str
    worker: str
    result: dict[str, Any]

    @staticmethod
    def resolve_inputs(run: Run) -> dict[str, int]:
        return {item.name: item.artifact_id for item in run.inputs.all()}


def visible(request: HttpRequest) -> RunQuerySet:
    """The runs that the caller may see."""
    user = require_engineer(request)
    return Run.objects.visible_to(user).select_related("owner").prefetch_related("inputs").all()


def find(request: HttpRequest, pk: int) -> Run:
    """One of them, or 404."""
    return get_object_or_404(visible(request), pk=pk)


def etag_of(run: Run) -> str:
    """Names the state of what people edit; what workers write does not change it."""
    edited = json.dumps([getattr(run, name) for name in EDITABLE])
    return f'"{hashlib.sha256(edited.encode()).hexdigest()[:20]}"'


def tagged(run: Run, response: HttpResponse) -> Run:
    """``run``, with its ETag in the reply."""
    response["ETag"] = etag_of(run)
    return run


def check_match(request: HttpRequest, run: Run) -> None:
    """412 when ``If-Match`` names another state than the present one."""
    wanted = request.headers.get("If-Match", "*").strip()
    if wanted != "*" and etag_of(run) not in [one.strip() for one in wanted.split(",")]:
        raise HttpError(412, f"run {run.pk} was changed meanwhile; read it again")
