"""What answers pile up, and which of them may go. Those that somebody cites never do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import TruncDay
from django.urls import reverse

from apps.runs.storage import needed, stock
from apps.runs.storage.stock import Candidate, Kind
from apps.traces.models import Grade, Trace

BATCH = 500


def register() -> None:
    stock.add(
        Kind(
            "traces",
            "Answers",
            "Rollouts and answers of programs cannot be read; numbers and results stay.",
            partial(stock.table_total, Trace, Grade),
            candidates,
        )
    )


def uncited() -> QuerySet[Trace]:
    """Answers that nothing stands on.

    An evaluation's are its results; one of a chat is part of the chat; what was flagged, reviewed
    or graded by people is evidence; and a run that can go on needs its own.
    """
    judged = Grade.objects.filter(trace=OuterRef("pk")).filter(
        Q(verdicts__isnull=False) | Q(overrides__isnull=False)
    )
    rollouts = Q(origin=Trace.Origin.ROLLOUT, run__in=needed.settled())
    return (
        Trace.objects.filter(rollouts | Q(origin=Trace.Origin.API) | Q(origin=Trace.Origin.CHAT))
        .filter(review_items=None, raised=None, chat_message=None)
        .exclude(Exists(judged))
    )


def candidates(before: datetime | None) -> Iterator[Candidate]:
    """By run and day, the oldest first."""
    found = uncited() if before is None else uncited().filter(created__lt=before)
    size = stock.row_bytes(stock.table_total(Trace, Grade))
    days = (
        found.order_by()
        .annotate(day=TruncDay("created"))
        .values("day", "run", named=F("run__name"))
    )
    for row in days.annotate(num=Count("pk")).order_by("day", "run"):
        its = found.filter(
            run=row["run"], created__gte=row["day"], created__lt=row["day"] + timedelta(days=1)
        )
        yield Candidate(
            name=f"{row['num']:,} answers of {row['named'] or 'no run'}, {row['day']:%d %b %Y}",
            since=row["day"],
            size_bytes=round(row["num"] * size),
            delete=partial(_delete, its, size),
            url=reverse("runs:detail", args=[row["run"]]) if row["run"] else "",
        )


def _delete(rows: QuerySet[Trace], size: float) -> int:
    num = 0
    while pks := [*rows.order_by("pk").values_list("pk", flat=True)[:BATCH]]:
        with transaction.atomic():
            # Whoever is about to cite one waits for this lock, and then finds it gone.
            locked = (
                Trace.objects.filter(pk__in=pks).order_by("pk").select_for_update(of=("self",))
            )
            list(locked.values_list("pk", flat=True))
            still = [*rows.filter(pk__in=pks).values_list("pk", flat=True)]
            Trace.objects.filter(pk__in=still).delete()
        num += len(still)
        if not still:
            break
    return round(num * size)
