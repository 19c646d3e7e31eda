"""Drafts: edits gathered by several people until they are published as the next version.

Versions never change. A draft keeps, for each example that differs from its base, what it is to
become; every save says which revision it was made on, so that nobody writes over another's
words unseen, and every step can be undone. What is typed is kept usable or not: ``problems_of``
says what keeps a draft from being published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from apps.accounts.models import User
from apps.datasets.models import (
    Dataset,
    DatasetVersion,
    DraftChange,
    DraftStep,
    DraftVersion,
)
from apps.datasets.problems import problems_of
from kos.data.rubrics import Provenance
from kos.errors import UserError

Kind = DraftChange.Kind
NOT_YOURS = "Only engineers discard the drafts of others."


class ConflictError(UserError):
    """Somebody saved the example meanwhile; ``theirs`` is what stands now, None: removed."""

    def __init__(self, external_id: str, theirs: dict[str, Any] | None, by: User | None) -> None:
        super().__init__(f"{by or 'somebody'} changed {external_id} since you opened it")
        self.theirs = theirs
        self.by = by


class Held(NamedTuple):
    """An example as the draft has it. ``task`` None: it is removed."""

    task: dict[str, Any] | None
    base: dict[str, Any] | None
    change: DraftChange | None

    @property
    def revision(self) -> int:
        return self.change.revision if self.change is not None else 0


def open_draft(version: DatasetVersion, by: User, title: str = "") -> DraftVersion:
    """A new draft on top of ``version``. Restricted text is never edited: UserError."""
    if version.is_restricted:
        raise UserError(f"{version} holds benchmark text, which is never edited")
    return DraftVersion.objects.create(
        dataset=version.dataset, base=version, created_by=by, title=title.strip()[:120]
    )


def begin_dataset(name: str, by: User, description: str = "") -> DraftVersion:
    """A new dataset, empty, with the draft of its first version."""
    name = name.strip()
    if not name:
        raise UserError("a dataset needs a name")
    if len(name) > 120:
        raise UserError("a name has at most 120 characters")
    dataset, is_new = Dataset.objects.get_or_create(
        name=name, defaults={"description": description.strip()}
    )
    if not is_new:
        raise UserError(f"there is a dataset called {name!r} already; open it and start a draft")
    return DraftVersion.objects.create(dataset=dataset, created_by=by)


def hold(draft: DraftVersion, external_id: str) -> Held:
    """The example ``external_id`` as it stands in the draft; UserError if it is not there."""
    change = draft.changes.filter(external_id=external_id).first()
    base = _base_of(draft, external_id)
    if change is None and base is None:
        raise UserError(f"{draft} has no example {external_id!r}")
    return Held(base if change is None else change.task, base, change)


@transaction.atomic
def save(
    draft: DraftVersion,
    external_id: str,
    task: dict[str, Any],
    *,
    by: User,
    revision: int,
    sitting: str = "",
) -> DraftChange:
    """Keep ``task`` as what the example becomes.

    ``revision`` is the one that was edited (0: the base's). Saves with the same ``sitting``
    follow each other without conflict and are one step. Raises ConflictError.
    """
    lock(draft)
    held = hold(draft, external_id)
    is_own = held.change is not None and sitting != "" and held.change.sitting == sitting
    if revision != held.revision and not is_own:
        raise ConflictError(external_id, held.task, held.change.by if held.change else None)
    is_added = held.base is None
    said = f"wrote {external_id}" if is_added else f"edited {external_id}"
    kind = Kind.ADDED if is_added else Kind.EDITED
    return _put(draft, external_id, kind, {**task, "id": external_id}, held, by, said, sitting)


@transaction.atomic
def add(
    draft: DraftVersion, by: User, *, external_id: str = "", task: dict[str, Any] | None = None
) -> DraftChange:
    """A new example: empty, or a copy of ``task``. Its id must be new in the draft."""
    lock(draft)
    name = external_id.strip()
    if len(name) > 120:
        raise UserError("an id has at most 120 characters")
    if name and _is_taken(draft, name):
        raise UserError(f"{draft.dataset} has an example {name!r} already; choose another id")
    name = name or _free_id(draft, str(task["id"]) if task else "prompt")
    blank = {"messages": [{"role": "user", "content": ""}], "rubric": []}
    origin = Provenance(
        source="written in Kos",
        importer="editor",
        imported_at=timezone.now().isoformat(timespec="seconds"),
        parent_id=str(task["id"]) if task else "",
    ).model_dump(exclude_defaults=True)
    made = {**(task or blank), "id": name, "provenance": origin}
    said = f"copied {task['id']} to {name}" if task else f"added {name}"
    return _put(draft, name, Kind.ADDED, made, Held(None, None, None), by, said)


@transaction.atomic
def remove(draft: DraftVersion, external_id: str, *, by: User) -> DraftStep:
    """Leave the example out of the next version."""
    lock(draft)
    held = hold(draft, external_id)
    said = f"removed {external_id}"
    if held.base is None:
        assert held.change is not None
        step = _note(draft, external_id, said, held, 0, by)
        held.change.delete()
        return step
    _put(draft, external_id, Kind.REMOVED, None, held, by, said)
    return draft.steps.filter(external_id=external_id)[0]


@transaction.atomic
def revert(draft: DraftVersion, external_id: str, *, by: User) -> DraftStep:
    """Bring an example back to what it is in the base."""
    lock(draft)
    held = hold(draft, external_id)
    if held.change is None or held.base is None:
        raise UserError(f"{external_id} is as in the base; there is nothing to bring back")
    step = _note(draft, external_id, f"brought {external_id} back", held, 0, by)
    held.change.delete()
    return step


@transaction.atomic
def undo(step: DraftStep, *, by: User) -> None:
    """Put back what stood before ``step``; UserError when the example was changed again."""
    draft = step.draft
    lock(draft)
    if step.is_undone:
        raise UserError("this step is undone already")
    change = draft.changes.filter(external_id=step.external_id).first()
    now = change.revision if change is not None else 0
    if now != step.revision:
        raise UserError(f"{step.external_id} was changed again since; undo the later step first")
    if step.before is None:
        if change is not None:
            change.delete()
        revision = 0
    else:
        revision = now + 1
        before = step.before | {"revision": revision, "by": by, "sitting": ""}
        draft.changes.update_or_create(external_id=step.external_id, defaults=before)
    earlier = draft.steps.filter(external_id=step.external_id, is_undone=False, pk__lt=step.pk)
    if (last := earlier.first()) is not None:
        last.revision = revision
        last.save(update_fields=["revision"])
    step.is_undone = True
    step.save(update_fields=["is_undone"])
    _touch(draft)


def may_discard(draft: DraftVersion, user: User) -> bool:
    """Engineers give up any draft, others their own."""
    return user.is_engineer or draft.created_by_id == user.pk


def discard(draft: DraftVersion) -> None:
    """Give the draft up; it stays readable. A dataset that holds nothing else goes with it."""
    opened = DraftVersion.objects.open().filter(pk=draft.pk)
    if not opened.update(status=DraftVersion.Status.DISCARDED, touched=timezone.now()):
        raise UserError(f"{draft} is not open any more")
    dataset = draft.dataset
    if not dataset.versions.exists() and not dataset.drafts.open().exists():
        dataset.delete()


def counts_of(drafts: Iterable[DraftVersion]) -> dict[int, dict[str, int]]:
    """How many examples each draft edits, adds and removes, by draft; one query."""
    found: dict[int, dict[str, int]] = {draft.pk: Counter() for draft in drafts}
    rows = DraftChange.objects.filter(draft__in=found).order_by().values("draft", "kind")
    for row in rows.annotate(num=Count("pk")):
        found[row["draft"]][row["kind"]] = row["num"]
    return found


def _put(
    draft: DraftVersion,
    external_id: str,
    kind: Kind,
    task: dict[str, Any] | None,
    held: Held,
    by: User,
    said: str,
    sitting: str = "",
) -> DraftChange:
    revision = held.revision + 1
    change, _ = DraftChange.objects.update_or_create(
        draft=draft,
        external_id=external_id,
        defaults={
            "kind": kind,
            "task": task,
            "problems": [list(problem) for problem in problems_of(task)],
            "revision": revision,
            "sitting": sitting,
            "by": by,
        },
    )
    _note(draft, external_id, said, held, revision, by, sitting)
    return change


def _note(
    draft: DraftVersion,
    external_id: str,
    said: str,
    held: Held,
    revision: int,
    by: User,
    sitting: str = "",
) -> DraftStep:
    """Remember the step; a sitting's saves one after another are one."""
    _touch(draft)
    last = draft.steps.filter(external_id=external_id).first()
    if last is not None and sitting and last.sitting == sitting and not last.is_undone:
        last.revision = revision
        last.save(update_fields=["revision"])
        return last
    was = held.change
    before = None
    if was is not None:
        before = {"kind": was.kind, "task": was.task, "problems": was.problems}
    return DraftStep.objects.create(
        draft=draft,
        external_id=external_id,
        said=said[:200],
        before=before,
        revision=revision,
        sitting=sitting,
        by=by,
    )


def lock(draft: DraftVersion) -> None:
    """Hold the draft until the transaction ends: writers take turns."""
    found = DraftVersion.objects.select_for_update().filter(pk=draft.pk).first()
    if found is None or found.status != DraftVersion.Status.OPEN:
        raise UserError(f"{draft} is not open any more; start another one from the latest version")


def _touch(draft: DraftVersion) -> None:
    DraftVersion.objects.filter(pk=draft.pk).update(touched=timezone.now())


def _base_of(draft: DraftVersion, external_id: str) -> dict[str, Any] | None:
    if draft.base_id is None:
        return None
    rows = draft.base.examples.filter(external_id=external_id) if draft.base else None
    found = rows.values_list("task", flat=True).first() if rows is not None else None
    return dict(found) if found is not None else None


def _is_taken(draft: DraftVersion, name: str) -> bool:
    return draft.changes.filter(external_id=name).exists() or _base_of(draft, name) is not None


def _free_id(draft: DraftVersion, stem: str) -> str:
    stem = stem[:110]
    number = 2 if stem != "prompt" else 1
    while _is_taken(draft, f"{stem}-{number}"):
        number += 1
    return f"{stem}-{number}"
