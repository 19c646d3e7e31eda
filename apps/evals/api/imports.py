"""Results of evaluations that were made elsewhere."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import File, Form, Schema, Status
from ninja.files import UploadedFile

from apps.accounts.auth import require_engineer
from apps.automation.rest import Line
from apps.datasets.models import DatasetVersion
from apps.evals import importing
from apps.evals.api.room import router


class FinishedOut(Schema):
    """The evaluation that holds the results now, and what was odd in the file."""

    run_id: int
    notes: list[str]


@router.post("/import", response={201: FinishedOut}, summary="Import a finished evaluation")
def import_finished(
    request: HttpRequest,
    name: Form[Line],
    file: File[UploadedFile],
    model: Form[str] = "",
    dataset: Form[int] = 0,
) -> Status[dict[str, Any]]:
    """simple-evals' `*_allresults.json`, or one graded answer a line (.jsonl, .jsonl.gz)."""
    user = require_engineer(request)
    version = get_object_or_404(DatasetVersion, pk=dataset) if dataset else None
    original = Path(file.name or "results.jsonl").name
    with tempfile.TemporaryDirectory() as folder:
        # An ending of ours: a name from outside may be longer than a disk takes.
        path = Path(folder) / f"results{'.jsonl' if '.jsonl' in original else '.json'}"
        with path.open("wb") as target:
            target.writelines(file.chunks())
        run = importing.import_finished(
            user,
            path,
            name=name[:100],
            model=(model or original.split(".")[0])[:40],
            dataset=version,
        )
    return Status(201, {"run_id": run.pk, "notes": run.result.get("notes", [])})
