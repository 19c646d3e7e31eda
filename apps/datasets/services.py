"""Writing datasets: importing a file as a version, and handing a version to a job."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from apps.accounts.models import User
from apps.datasets.models import Dataset, DatasetVersion, Example
from kos.data.readers import ImportReport, read_file
from kos.data.rubrics import RubricTask

SAMPLE_NAME = "Kos sample"
SAMPLE_FILES = ("consult.jsonl", "writing.jsonl", "research.jsonl")


def import_file(
    name: str, path: Path, *, user: User | None = None, description: str = "", source: str = ""
) -> tuple[DatasetVersion, ImportReport]:
    """Keep the usable rows of ``path`` as a version of the dataset ``name``.

    ``source`` is what the version says of its origin; without it, the file's name. The same
    rows again give the version that is there. Raises UserError when no row is usable.
    """
    report = read_file(path)
    version = keep_version(
        name, report.tasks, source=source or path.name, user=user, description=description
    )
    return version, report


@transaction.atomic
def keep_version(
    name: str,
    tasks: Sequence[RubricTask],
    *,
    source: str,
    user: User | None = None,
    description: str = "",
    is_demonstration: bool = False,
) -> DatasetVersion:
    """The version of dataset ``name`` that holds exactly ``tasks``, made if there is none."""
    dataset, _ = Dataset.objects.select_for_update().get_or_create(
        name=name, defaults={"description": description}
    )
    digest = digest_of(tasks)
    found = dataset.versions.filter(digest=digest).first()
    if found is not None:
        return found
    latest = dataset.versions.aggregate(latest=Max("number"))["latest"] or 0
    version = DatasetVersion.objects.create(
        dataset=dataset,
        number=latest + 1,
        digest=digest,
        source=source,
        is_restricted=any(task.restricted for task in tasks),
        is_demonstration=is_demonstration,
        created_by=user,
    )
    Example.objects.bulk_create(
        [_example(version, position, task) for position, task in enumerate(tasks)], batch_size=500
    )
    return version


def digest_of(tasks: Sequence[RubricTask]) -> str:
    """SHA-256 over the sorted content hashes: the order of the rows does not matter."""
    hashes = "\n".join(sorted(task.content_hash() for task in tasks))
    return hashlib.sha256(hashes.encode()).hexdigest()


def load_sample() -> DatasetVersion:
    """The sample set written for Kos, as it ships."""
    tasks = []
    folder = resources.files("kos.data") / "sample"
    for name in SAMPLE_FILES:
        with resources.as_file(folder / name) as path:
            tasks += read_file(path).tasks
    return keep_version(
        SAMPLE_NAME,
        tasks,
        source="shipped with Kos",
        description="Clinical prompts with deterministic rubric checks, written for Kos.",
        is_demonstration=True,
    )


def materialise(version: DatasetVersion) -> Path:
    """The version as JSONL, one RubricTask a line, for jobs that see no database."""
    folder = Path(settings.ARTIFACTS) / "datasets"
    path = folder / f"{version.digest}.jsonl"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    # Two workers may write at once: each writes its own file and the last rename wins.
    handle, name = tempfile.mkstemp(dir=folder, suffix=".tmp")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        for example in version.examples.order_by("position").iterator(chunk_size=500):
            file.write(example.rubric_task.model_dump_json() + "\n")
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)
    return path


def _example(version: DatasetVersion, position: int, task: RubricTask) -> Example:
    return Example(
        version=version,
        external_id=task.id,
        position=position,
        split=task.split,
        use_case=task.use_case,
        specialty=task.specialty,
        num_items=len(task.rubric),
        task=task.model_dump(mode="json", exclude_defaults=True),
    )
