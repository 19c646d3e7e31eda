"""What needs an engineer first: failed and silent runs, reviews, stale scores, a full disk."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

from django.db.models import Count, OuterRef, Subquery
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.datasets.models import DatasetVersion
from apps.deployments.models import Deployment
from apps.reviews.models import Item, Queue
from apps.runs.models import HELD, Run, Status
from kosweb import house

RECENT = timedelta(days=3)
SILENT = timedelta(minutes=2)
# A checkpoint that does not fit fails its run at the last step.
FULL_PERCENT = 90
ROWS = 5


class Need(NamedTuple):
    """One thing to see to: what it is, why, and where it is mended."""

    sort: str
    title: str
    why: str
    url: str


def for_engineer(user: User) -> list[Need]:
    """The most urgent first."""
    return [*_disk(), *_failed(user), *_silent(user), *_unmeasured(), *_reviews()]


def _disk() -> list[Need]:
    disk = house.disk()
    if disk.percent < FULL_PERCENT:
        return []
    why = f"{disk.free} of {disk.total} are free: free checkpoints that nobody needs."
    return [Need("disk", f"The disk is {disk.percent} % full", why, reverse("runs:models"))]


def _failed(user: User) -> list[Need]:
    rows = Run.objects.visible_to(user).filter(
        status=Status.FAILED, pipeline=None, is_archived=False, ended__gt=timezone.now() - RECENT
    )
    return [
        Need(
            "failed",
            run.name,
            run.error[:160] or "It ended without a reason.",
            reverse("runs:detail", args=[run.pk]),
        )
        for run in rows.only("pk", "name", "error")[:ROWS]
    ]


def _silent(user: User) -> list[Need]:
    """Said to be running, and not heard of; or lost with its worker."""
    runs = Run.objects.visible_to(user).exclude(kind="pipeline")
    quiet = runs.filter(status__in=HELD, touched__lt=timezone.now() - SILENT)
    lost = runs.filter(status=Status.LOST)
    return [
        Need(
            "lost" if run.status == Status.LOST else "silent",
            run.name,
            "Its worker was lost; the next free one takes it up."
            if run.status == Status.LOST
            else f"Nothing heard since {run.touched:%H:%M} UTC from {run.worker or 'its worker'}.",
            reverse("runs:detail", args=[run.pk]),
        )
        for run in (quiet | lost).only("pk", "name", "status", "touched", "worker")[:ROWS]
    ]


def _unmeasured() -> list[Need]:
    """Models that answer people and were never evaluated, or on prompts since replaced."""
    evaluated = Run.objects.filter(
        kind="evaluate", status=Status.DONE, inputs__artifact=OuterRef("artifact")
    ).order_by("-pk")
    newest = DatasetVersion.objects.filter(dataset=OuterRef("prompts")).order_by("-number")
    rows = (
        Deployment.objects.ready()
        .exclude(artifact=None)
        .annotate(
            evaluation=Subquery(evaluated.values("pk")[:1]),
            number=Subquery(evaluated.values("dataset__number")[:1]),
            prompts=Subquery(evaluated.values("dataset__dataset")[:1]),
            newest=Subquery(newest.values("number")[:1]),
        )
        .only("pk", "name")
    )
    needs = []
    row: Any
    for row in rows[: 4 * ROWS]:
        if row.evaluation is None:
            url = reverse("runs:new", args=["evaluate"])
            needs.append(Need("stale", row.name, "It answers, and was never evaluated.", url))
        elif row.number and row.newest and row.newest > row.number:
            why = f"Evaluated on version {row.number} of its prompts; version {row.newest} is out."
            needs.append(Need("stale", row.name, why, reverse("evals:run", args=[row.evaluation])))
    return needs[:ROWS]


def _reviews() -> list[Need]:
    """Answers that reviewers disagree on, or that nobody took up."""
    open_items = Item.objects.filter(queue__status=Queue.Status.OPEN, repeat_of=None)
    states = (Item.Status.DISPUTED, Item.Status.OPEN)
    numbers = dict(
        open_items.filter(status__in=states)
        .order_by()
        .values("status")
        .annotate(num=Count("pk"))
        .values_list("status", "num")
    )
    disputed, waiting = (numbers.get(state, 0) for state in states)
    url = reverse("reviews:list")
    needs = []
    if disputed:
        title = f"{disputed} answer{'s' if disputed != 1 else ''} to settle"
        needs.append(Need("review", title, "Reviewers disagree on them.", url))
    if waiting:
        title = f"{waiting} answer{'s' if waiting != 1 else ''} to review"
        needs.append(Need("review", title, "They wait for reviewers.", url))
    return needs
