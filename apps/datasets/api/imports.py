"""Files on their way in and out."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Literal

from django.http import HttpRequest
from ninja import File, Form, Query, Schema, Status
from ninja.files import UploadedFile

from apps.accounts.auth import require_engineer
from apps.accounts.streaming import Streamed
from apps.automation.rest import Line
from apps.datasets import services
from apps.datasets.api.shapes import VersionOut, find, router
from apps.datasets.models import DatasetVersion
from kos.data import exports
from kos.data.readers import LineProblem

LINES = {"application/x-ndjson": {"schema": {"type": "string"}}}


class ImportOut(Schema):
    """The version that stands, the lines that were left out, and those kept but odd."""

    version: VersionOut
    problems: list[dict[str, Any]]
    notices: list[dict[str, Any]]


class LabelsOut(Schema):
    id: int
    name: str
    num_answers: int
    num_labels: int
    problems: list[dict[str, Any]]


class ExportWanted(Schema):
    format: Literal["kos", "healthbench", "verifiers"] = "kos"


@router.get(
    "/{int:pk}/export",
    response={200: None},
    summary="A version as JSON lines",
    openapi_extra={"responses": {200: {"content": LINES}}},
)
def export(request: HttpRequest, pk: int, wanted: Query[ExportWanted]) -> Streamed:
    """For other tools. Restricted rows never leave."""
    require_engineer(request)
    lines = exports.export(services.tasks_of(find(request, pk)), wanted.format)
    return Streamed(lines, content_type="application/x-ndjson")


@router.post("/sample", response=VersionOut, summary="Load the embedded sample set")
def load_sample(request: HttpRequest) -> DatasetVersion:
    """The version that stands; loading it again changes nothing."""
    require_engineer(request)
    return services.load_sample()


@router.post("/labels", response={201: LabelsOut}, summary="Import verdicts of people")
def import_labels(
    request: HttpRequest, name: Form[Line], file: File[UploadedFile]
) -> Status[dict[str, Any]]:
    """A meta-evaluation file as a label set, which judges are measured against."""
    user = require_engineer(request)
    with tempfile.TemporaryDirectory() as folder:
        path = _kept(file, Path(folder))
        found, report = services.import_labels(name, path, user=user, source=file.name or "")
    return Status(
        201,
        {
            "id": found.pk,
            "name": found.name,
            "num_answers": len(report.rows),
            "num_labels": report.num_labels,
            "problems": _rows(report.problems),
        },
    )


@router.post("/", response={201: ImportOut}, summary="Import a file as a version")
def import_file(
    request: HttpRequest,
    name: Form[Line],
    file: File[UploadedFile],
    description: Form[str] = "",
) -> Status[dict[str, Any]]:
    """A file of any known format. The same content twice is the same version."""
    user = require_engineer(request)
    original = file.name or "upload.jsonl"
    with tempfile.TemporaryDirectory() as folder:
        path = _kept(file, Path(folder))
        version, report = services.import_file(
            name, path, user=user, description=description, source=original[:200]
        )
    return Status(
        201,
        {
            "version": version,
            "problems": _rows(report.problems),
            "notices": _rows(report.notices),
        },
    )


def _kept(file: UploadedFile, folder: Path) -> Path:
    is_yaml = (file.name or "").endswith((".yaml", ".yml"))
    path = folder / ("rows.yaml" if is_yaml else "rows.jsonl")
    with path.open("wb") as target:
        target.writelines(file.chunks())
    return path


def _rows(problems: list[LineProblem]) -> list[dict[str, Any]]:
    return [{"line": problem.line, "text": problem.text} for problem in problems]
