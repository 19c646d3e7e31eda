"""Datasets over REST: read versions, import a file."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db.models import Count, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from ninja import File, Form, Router, Schema
from ninja import Status as Answer
from ninja.files import UploadedFile

from apps.accounts.auth import require_engineer, require_reader
from apps.datasets import services
from apps.datasets.models import DatasetVersion
from kos.data import exports
from kos.data.overlap import THRESHOLD
from kos.data.readers import LineProblem

router = Router(tags=["datasets"])
MAX_ROWS = 200


class VersionOut(Schema):
    id: int
    name: str
    number: int
    digest: str
    source: str
    is_restricted: bool
    is_demonstration: bool
    num_examples: int
    created: datetime

    @staticmethod
    def resolve_name(version: DatasetVersion) -> str:
        return version.dataset.name


class ImportOut(Schema):
    """The version that stands, the lines that were left out, and those kept but odd."""

    version: VersionOut
    problems: list[dict[str, Any]]
    notices: list[dict[str, Any]]


class OverlapOut(Schema):
    """How many pairs overlap, and the first of them."""

    num_overlaps: int
    overlaps: list[dict[str, Any]]


class LabelsOut(Schema):
    id: int
    name: str
    num_answers: int
    num_labels: int
    problems: list[dict[str, Any]]


@router.get("/", response=list[VersionOut])
def list_versions(request: HttpRequest, limit: int = 50) -> QuerySet[DatasetVersion]:
    require_reader(request)
    return _versions()[: max(1, min(limit, MAX_ROWS))]


@router.get("/{int:pk}/", response=VersionOut)
def get_version(request: HttpRequest, pk: int) -> DatasetVersion:
    require_reader(request)
    return get_object_or_404(_versions(), pk=pk)


@router.get("/{int:pk}/export/", response=None)
def export_version(request: HttpRequest, pk: int, format: str = "kos") -> StreamingHttpResponse:
    """JSON lines for other tools (kos, healthbench, verifiers). Restricted rows never leave."""
    require_engineer(request)
    lines = exports.export(services.tasks_of(get_object_or_404(_versions(), pk=pk)), format)
    return StreamingHttpResponse(lines, content_type="application/x-ndjson")


@router.get("/{int:pk}/overlap/", response=OverlapOut)
def check_overlap(
    request: HttpRequest, pk: int, evaluation: int, threshold: float = THRESHOLD
) -> dict[str, Any]:
    """Prompts of this version that repeat prompts of version ``evaluation``, by id."""
    require_reader(request)
    train, other = (get_object_or_404(_versions(), pk=one) for one in (pk, evaluation))
    pairs = services.find_overlaps(train, other, threshold=max(0.05, threshold))
    shown = [pair._asdict() for pair in pairs[:MAX_ROWS]]
    return {"num_overlaps": len(pairs), "overlaps": shown}


@router.post("/labels/", response={201: LabelsOut})
def import_labels(
    request: HttpRequest, name: Form[str], file: File[UploadedFile]
) -> Answer[dict[str, Any]]:
    """Import a meta-evaluation file as a label set, which judges are measured against."""
    user = require_engineer(request)
    with tempfile.TemporaryDirectory() as folder:
        path = _kept(file, Path(folder))
        found, report = services.import_labels(name, path, user=user, source=file.name or "")
    return Answer(
        201,
        {
            "id": found.pk,
            "name": found.name,
            "num_answers": len(report.rows),
            "num_labels": report.num_labels,
            "problems": _rows(report.problems),
        },
    )


@router.post("/", response={201: ImportOut})
def import_file(
    request: HttpRequest,
    name: Form[str],
    file: File[UploadedFile],
    description: Form[str] = "",
) -> Answer[dict[str, Any]]:
    """Import a file of any known format as a version of the dataset ``name``."""
    user = require_engineer(request)
    original = file.name or "upload.jsonl"
    with tempfile.TemporaryDirectory() as folder:
        path = _kept(file, Path(folder))
        version, report = services.import_file(
            name, path, user=user, description=description, source=original[:200]
        )
    return Answer(
        201,
        {
            "version": _versions().get(pk=version.pk),
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


def _versions() -> QuerySet[DatasetVersion]:
    versions = DatasetVersion.objects.select_related("dataset")
    # An aggregate drops the order of the model.
    return versions.annotate(num_examples=Count("examples")).order_by("-created", "-pk")


def _rows(problems: list[LineProblem]) -> list[dict[str, Any]]:
    return [{"line": problem.line, "text": problem.text} for problem in problems]
