"""Writing to evaluations: overriding a grade, trusting a judge, calibrating and probing it."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.db import IntegrityError, transaction

from apps.accounts import audit
from apps.accounts.models import User, Verb
from apps.datasets.models import LabelSet
from apps.evals.models import Judge, JudgeChange, Override
from apps.runs import services as runs
from apps.runs.models import Run
from apps.tools.services import keys_of
from apps.traces.models import Grade
from kos.config import Calibrate
from kos.errors import UserError
from kos.grading.judge import probe as probe_judge

PROBE_SECONDS = 20


def override(grade: Grade, met: bool | None, by: User, reason: str) -> Override:
    """Let ``by``'s verdict count instead of the grader's; None withdraws earlier overrides.

    The grade itself never changes, and every override is kept. Raises UserError without a
    reason, or for a withdrawal of nothing.
    """
    if not reason.strip():
        raise UserError("An override needs a reason: say what the grader got wrong.")
    if met is None and not grade.overrides.exists():
        raise UserError("There is no override to withdraw: the grader's verdict counts already.")
    audit.note(by, Verb.GRADE_OVERRIDDEN, grade, before={"met": grade.met}, met=met, reason=reason)
    return Override.objects.create(grade=grade, met=met, by=by, reason=reason.strip())


def add_judge(**fields: Any) -> Judge:
    """A judge on trial. Raises UserError when one has its name already."""
    try:
        with transaction.atomic():
            return Judge.objects.create(**fields)
    except IntegrityError:
        raise UserError(f"there is a judge called {fields['name']!r} already") from None


def change_judge(judge: Judge, **fields: Any) -> Judge:
    """Change where and how a judge is asked. Raises UserError for a name that another has."""
    for name, value in fields.items():
        setattr(judge, name, value)
    try:
        with transaction.atomic():
            judge.save(update_fields=[*fields])
    except IntegrityError:
        raise UserError(f"there is a judge called {fields['name']!r} already") from None
    return judge


@transaction.atomic
def change_status(judge: Judge, status: str, by: User, reason: str) -> JudgeChange:
    """Trust a judge, put it on trial or retire it. UserError without a reason or a change."""
    if not reason.strip():
        raise UserError("A change of status needs a reason: say what speaks for it.")
    changed = Judge.objects.filter(pk=judge.pk).exclude(status=status).update(status=status)
    if changed != 1:
        label = Judge.Status(status).label.lower()
        raise UserError(f"{judge.name} is {label} already.")
    judge.refresh_from_db(fields=["status"])
    return JudgeChange.objects.create(judge=judge, status=status, by=by, reason=reason.strip())


def start_calibration(
    judge: Judge, labels: LabelSet, *, by: User, max_rows: int = 0, seed: int = 0
) -> Run:
    """Queue a run that holds the judge against ``labels``. UserError for a retired judge."""
    if judge.status == Judge.Status.RETIRED:
        raise UserError(f"{judge.name} is retired; put it on trial to calibrate it again.")
    config = Calibrate(
        judge=judge.grader,
        max_rows=max_rows,
        prompt_price=judge.prompt_price,
        completion_price=judge.completion_price,
    )
    name = f"{judge.name} on {labels.name}"[:120]
    return runs.launch(by, "calibrate", config, name=name, labels=labels, seed=seed)


def probe(judge: Judge, by: User) -> str:
    """Ask the judge for a word now; UserError says what is wrong."""
    grader = judge.grader.model_copy(update={"timeout_seconds": PROBE_SECONDS})
    secret = ""
    if grader.key:
        secret = keys_of(by).get(grader.key, "")
        if not secret:
            raise UserError(f"There is no key called {grader.key!r}. Add it under Keys.")
    return async_to_sync(probe_judge)(grader, secret)
