"""A draft becomes the dataset's next version."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils import timezone

from apps.accounts.models import User
from apps.datasets import drafts, versions, work
from apps.datasets.models import DraftChange, DraftVersion, Work
from apps.datasets.problems import problems_of
from apps.datasets.work import Told
from kos.data.rubrics import RubricTask
from kos.errors import UserError

NAMED_PROBLEMS = 3
# Examples of a base that are copied while the page waits.
SHORT = 3000


def publish(draft: DraftVersion, note: str, *, by: User) -> Work:
    """Make the draft the dataset's next version; the work's result says which.

    UserError without a note, with an example that cannot be used, or without a difference.
    """
    if not note.strip():
        raise UserError("say in a sentence what is new: the note stays with the version")
    size = draft.base.num_examples if draft.base is not None else 0
    told = {"draft": draft.pk, "note": note.strip()}
    return work.start(Work.Kind.PUBLISH, do_publish, by=by, told=told, is_long=size > SHORT)


def do_publish(task: Work, told: Told) -> dict[str, Any]:
    """Make the version in one transaction and close the draft."""
    draft = DraftVersion.objects.get(pk=task.told["draft"])
    drafts.lock(draft)
    changes = list(draft.changes.order_by("pk"))
    _refuse_problems(changes)
    made = {
        change.external_id: None if change.task is None else RubricTask.model_validate(change.task)
        for change in changes
    }
    version = versions.derive_version(
        draft.dataset, draft.base, made, note=task.told["note"], user=task.by, told=told
    )
    DraftVersion.objects.filter(pk=draft.pk).update(
        status=DraftVersion.Status.PUBLISHED, published=version, touched=timezone.now()
    )
    return {"version": version.pk, "said": f"{version} stands."}


def _refuse_problems(changes: Iterable[DraftChange]) -> None:
    wrong = [
        f"{change.external_id}: {problem.text}"
        for change in changes
        for problem in problems_of(change.task)[:1]
    ]
    if wrong:
        more = f" (and {len(wrong) - NAMED_PROBLEMS} more)" if len(wrong) > NAMED_PROBLEMS else ""
        raise UserError(
            f"some examples cannot be used yet. {'; '.join(wrong[:NAMED_PROBLEMS])}{more}"
        )
