"""Writing datasets: importing a file as a version, and handing a version to a job."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from apps.accounts import audit
from apps.accounts.models import User, Verb
from apps.automation import hooks
from apps.datasets import statistics
from apps.datasets.models import Dataset, DatasetVersion, Example, LabelledAnswer, LabelSet
from kos.data import overlap
from kos.data.formats import FieldMap
from kos.data.labels import LabelledAnswer as LabelledRow
from kos.data.labels import LabelReport, read_labels
from kos.data.overlap import THRESHOLD, Overlap
from kos.data.readers import ImportReport, read_file
from kos.data.rubrics import Provenance, RubricTask

SAMPLE_NAME = "Kos sample"
SAMPLE_FILES = ("consult.jsonl", "writing.jsonl", "research.jsonl")
BATCH = 500


def import_file(
    name: str,
    path: Path,
    *,
    user: User | None = None,
    description: str = "",
    source: str = "",
    fields: FieldMap | None = None,
    query: str = "",
    note: str = "",
    told: Callable[[int, int], None] | None = None,
) -> tuple[DatasetVersion, ImportReport]:
    """Keep the usable rows of ``path`` as a version of the dataset ``name``.

    ``source`` is what the version says of its origin; without it, the file's name. The same
    rows again give the version that is there. ``fields`` and ``query`` are as in ``read_file``,
    ``told`` as in ``keep_version``.
    Raises UserError when no row is usable.
    """
    report = read_file(path, fields=fields, query=query)
    report.tasks = [
        _with_origin(task, report.format, source or path.name) for task in report.tasks
    ]
    version = keep_version(
        name,
        report.tasks,
        source=source or path.name,
        user=user,
        description=description,
        note=note,
        told=told,
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
    note: str = "",
    base: DatasetVersion | None = None,
    told: Callable[[int, int], None] | None = None,
) -> DatasetVersion:
    """The version of dataset ``name`` that holds exactly ``tasks``, made if there is none.

    ``note`` says what is new in it and ``base`` what it was made of. ``told`` hears how many
    tasks of how many are written.
    """
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
        note=note,
        base=base,
        is_restricted=any(task.restricted for task in tasks),
        is_demonstration=is_demonstration,
        created_by=user,
    )
    for start in range(0, len(tasks), BATCH):
        batch = tasks[start : start + BATCH]
        rows = [example_of(version, place, task) for place, task in enumerate(batch, start)]
        Example.objects.bulk_create(rows)
        if told is not None:
            told(start + len(rows), len(tasks))
    statistics.facts_of(version)
    announce(version)
    audit.note(user, Verb.DATASET_PUBLISHED, version, examples=len(tasks), note=note)
    return version


def import_labels(
    name: str, path: Path, *, user: User | None = None, source: str = ""
) -> tuple[LabelSet, LabelReport]:
    """Keep the labels in ``path``; the same rows again give the set that is there."""
    report = read_labels(path)
    return keep_labels(name, report.rows, source=source or path.name, user=user), report


@transaction.atomic
def keep_labels(
    name: str, labels: Sequence[LabelledRow], *, source: str, user: User | None = None
) -> LabelSet:
    """The set that holds exactly these rows, made if there is none."""
    found, is_new = LabelSet.objects.get_or_create(
        digest=_digest_of_labels(labels),
        defaults={
            "name": name,
            "source": source[:200],
            "is_restricted": any(row.restricted for row in labels),
            "created_by": user,
        },
    )
    if is_new:
        rows = [_labelled(found, n, row) for n, row in enumerate(labels)]
        LabelledAnswer.objects.bulk_create(rows, batch_size=500)
    return found


def _digest_of_labels(labels: Iterable[LabelledRow]) -> str:
    # With the verdicts: the same rows judged by one person more are another set.
    said = (f"{row.id} {''.join(str(int(met)) for met in row.met)}" for row in labels)
    return hashlib.sha256("\n".join(sorted(said)).encode()).hexdigest()


def tasks_of(version: DatasetVersion) -> Iterator[RubricTask]:
    """The version's tasks in their order, a few at a time."""
    for example in version.examples.order_by("position").iterator(chunk_size=500):
        yield example.rubric_task


def find_overlaps(
    train: DatasetVersion, evaluation: DatasetVersion, *, threshold: float = THRESHOLD
) -> list[Overlap]:
    """Training prompts that repeat evaluation prompts, by id; splits decide which are which.

    Within one version its train split is held against its other rows; between two versions
    every row of the one against every row of the other.
    """
    if train.pk != evaluation.pk:
        return overlap.find_overlaps(tasks_of(train), tasks_of(evaluation), threshold=threshold)
    tasks = list(tasks_of(train))
    trained = [task for task in tasks if task.split == "train"]
    held_out = [task for task in tasks if task.split != "train"]
    return overlap.find_overlaps(trained, held_out, threshold=threshold)


def digest_of(tasks: Sequence[RubricTask]) -> str:
    """SHA-256 over the sorted content hashes: the order of the rows does not matter."""
    return digest_of_hashes(task.content_hash() for task in tasks)


def digest_of_hashes(hashes: Iterable[str]) -> str:
    """``digest_of`` where the content hashes are known."""
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()


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
    rows = version.examples.order_by("position").iterator(chunk_size=500)
    return _written(
        "datasets", version.digest, (row.rubric_task.model_dump_json() for row in rows)
    )


def materialise_labels(label_set: LabelSet) -> Path:
    """The labels as JSONL, one ``kos.data.labels.LabelledAnswer`` a line."""
    rows = label_set.answers.order_by("position").iterator(chunk_size=500)
    return _written("labels", label_set.digest, (json.dumps(row.row) for row in rows))


def _written(sort: str, digest: str, lines: Iterable[str]) -> Path:
    folder = Path(settings.ARTIFACTS) / sort
    path = folder / f"{digest}.jsonl"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    # Two workers may write at once: each writes its own file and the last rename wins.
    handle, name = tempfile.mkstemp(dir=folder, suffix=".tmp")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        for line in lines:
            file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)
    return path


def _with_origin(task: RubricTask, importer: str, source: str) -> RubricTask:
    if task.provenance is not None:
        return task
    origin = Provenance(
        source=source, importer=importer, imported_at=timezone.now().isoformat(timespec="seconds")
    )
    return task.model_copy(update={"provenance": origin})


def _labelled(label_set: LabelSet, position: int, row: LabelledRow) -> LabelledAnswer:
    return LabelledAnswer(
        label_set=label_set,
        position=position,
        category=row.category[:200],
        num_labels=len(row.met),
        num_met=sum(row.met),
        row=asdict(row),
    )


def example_of(version: DatasetVersion, position: int, task: RubricTask) -> Example:
    """The row of ``task``, not saved."""
    return Example(
        version=version,
        external_id=task.id,
        position=position,
        split=task.split,
        use_case=task.use_case,
        specialty=task.specialty[:60],
        num_items=len(task.rubric),
        content_hash=task.content_hash(),
        task=task.model_dump(mode="json", exclude_defaults=True),
    )


def announce(version: DatasetVersion) -> None:
    """Tell webhooks that a version stands, its numbers counted."""
    said = {
        "id": version.pk,
        "dataset": version.dataset.name,
        "number": version.number,
        "digest": version.digest,
        "num_examples": version.num_examples,
        "note": version.note,
    }
    hooks.announce("dataset.published", version.created_by_id, said)
