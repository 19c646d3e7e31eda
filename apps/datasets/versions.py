"""Versions made of other versions, and versions that nobody needs any more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from django.db import connection, transaction
from django.db.models import Max, ProtectedError

from apps.accounts.models import User
from apps.datasets import statistics
from apps.datasets.models import Dataset, DatasetVersion, Example
from apps.datasets.services import BATCH, announce, digest_of_hashes, example_of
from kos.data.rubrics import RubricTask
from kos.errors import UserError

COPIED_AT_ONCE = 5000
SHOWN_USERS = 5
COPY = """
INSERT INTO datasets_example
    (version_id, external_id, position, split, use_case, specialty, num_items, content_hash, task)
SELECT %s, external_id, position, split, use_case, specialty, num_items, content_hash, task
FROM datasets_example
WHERE version_id = %s AND position >= %s AND position < %s AND NOT external_id = ANY(%s)
"""


def derive_version(
    dataset: Dataset,
    base: DatasetVersion | None,
    made: Mapping[str, RubricTask | None],
    *,
    note: str,
    user: User | None = None,
    told: Callable[[int, int], None] | None = None,
) -> DatasetVersion:
    """The next version: ``base`` with the examples of ``made`` in place of its own.

    None leaves an example out; what the base has not is added at the end. Rows that stay are
    copied inside the database. UserError when nothing differs, or nothing is left.
    """
    kept = base.examples.exclude(external_id__in=made) if base is not None else None
    hashes = [*kept.order_by().values_list("content_hash", flat=True)] if kept is not None else []
    tasks = {key: task for key, task in made.items() if task is not None}
    hashes += [task.content_hash() for task in tasks.values()]
    if not hashes:
        raise UserError("nothing is left: a version needs one prompt at least")
    digest = digest_of_hashes(hashes)
    Dataset.objects.select_for_update().get(pk=dataset.pk)
    if (found := dataset.versions.filter(digest=digest).first()) is not None:
        raise UserError(f"nothing differs from {found}; there is nothing to publish")
    latest = dataset.versions.aggregate(latest=Max("number"))["latest"] or 0
    version = DatasetVersion.objects.create(
        dataset=dataset,
        number=latest + 1,
        digest=digest,
        source=f"edited from v{base.number}" if base is not None else "written in Kos",
        note=note,
        base=base,
        is_demonstration=base is not None and base.is_demonstration,
        created_by=user,
    )
    last = _copy(base, version, [*made], told) if base is not None else -1
    places = (
        dict(base.examples.filter(external_id__in=tasks).values_list("external_id", "position"))
        if base is not None
        else {}
    )
    new = [key for key in tasks if key not in places]
    places |= {key: place for place, key in enumerate(new, last + 1)}
    Example.objects.bulk_create(
        [example_of(version, places[key], task) for key, task in tasks.items()], batch_size=BATCH
    )
    statistics.facts_of(version)
    announce(version)
    return version


def _copy(
    base: DatasetVersion,
    version: DatasetVersion,
    without: list[str],
    told: Callable[[int, int], None] | None,
) -> int:
    """Copy the base's examples but those named; returns its last position."""
    last = base.examples.aggregate(last=Max("position"))["last"]
    last = -1 if last is None else last
    with connection.cursor() as cursor:
        for start in range(0, last + 1, COPIED_AT_ONCE):
            cursor.execute(
                COPY,
                [version.pk, base.pk, start, start + COPIED_AT_ONCE, without],
            )
            if told is not None:
                told(min(last + 1, start + COPIED_AT_ONCE), last + 1)
    return last


def delete_version(version: DatasetVersion) -> None:
    """Forget a version that nothing uses; a dataset without another one goes with it.

    Raises UserError with the runs, drafts or evaluations that stand on it.
    """
    drafts = [str(draft) for draft in version.drafts.open()]
    if drafts:
        raise UserError(f"{version} stays: {_named(drafts)} changes it. Discard the draft first.")
    dataset = version.dataset
    with transaction.atomic():
        # Its own examples go first and in one statement: there may be 100,000 of them.
        version.examples.order_by().delete()
        try:
            version.delete()
        except ProtectedError as error:
            users = sorted({str(found) for found in error.protected_objects})
            raise UserError(f"{version} stays: {_named(users)} used it.") from error
        if not dataset.versions.exists() and not dataset.drafts.open().exists():
            dataset.delete()


def _named(names: Sequence[str]) -> str:
    more = len(names) - SHOWN_USERS
    return ", ".join(names[:SHOWN_USERS]) + (f" and {more} more" if more > 0 else "")
