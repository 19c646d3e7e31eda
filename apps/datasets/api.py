"""Datasets over REST: read versions, import a file."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import File, Form, Router, Schema
from ninja import Status as Answer
from ninja.files import UploadedFile

from apps.accounts.auth import require_engineer, require_reader
from apps.datasets import services
from apps.datasets.models import DatasetVersion
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
    """The version that stands, and the lines that were left out."""

    version: VersionOut
    problems: list[dict[str, Any]]


@router.get("/", response=list[VersionOut])
def list_versions(request: HttpRequest, limit: int = 50) -> QuerySet[DatasetVersion]:
    require_reader(request)
    return _versions()[: max(1, min(limit, MAX_ROWS))]


@router.get("/{pk}/", response=VersionOut)
def get_version(request: HttpRequest, pk: int) -> DatasetVersion:
    require_reader(request)
    return get_object_or_404(_versions(), pk=pk)


@router.post("/", response={201: ImportOut})
def import_file(
    request: HttpRequest,
    name: Form[str],
    file: File[UploadedFile],
    description: Form[str] = "",
) -> Answer[dict[str, Any]]:
    """Import JSON lines (.jsonl or .jsonl.gz) as a version of the dataset ``name``."""
    user = require_engineer(request)
    original = file.name or "upload.jsonl"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("rows.jsonl.gz" if original.endswith(".gz") else "rows.jsonl")
        with path.open("wb") as target:
            target.writelines(file.chunks())
        version, report = services.import_file(
            name, path, user=user, description=description, source=original[:200]
        )
    found = {"version": _versions().get(pk=version.pk), "problems": _rows(report.problems)}
    return Answer(201, found)


def _versions() -> QuerySet[DatasetVersion]:
    versions = DatasetVersion.objects.select_related("dataset")
    # An aggregate drops the order of the model.
    return versions.annotate(num_examples=Count("examples")).order_by("-created", "-pk")


def _rows(problems: list[LineProblem]) -> list[dict[str, Any]]:
    return [{"line": problem.line, "text": problem.text} for problem in problems]
