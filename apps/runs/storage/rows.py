"""Rows that pile up: what runs said, their numbers, deliveries; and models that can be made again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial

from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import TruncDay
from django.urls import reverse

from apps.automation.models import Delivery
from apps.runs.artifacts import disposal
from apps.runs.models import Artifact, Event, Metric, Run
from apps.runs.storage import needed
from apps.runs.storage.stock import Candidate, Kind, Total, row_bytes, table_total
from kos.errors import UserError

# What a run says all the time; how it began, what it saved and how it ended stays.
CHATTER = ("note", "progress", "step", "checkpoint")
# An adapter is what a training was for; bases are where runs begin; reports are results.
MADE_AGAIN = (Artifact.Kind.MERGED, Artifact.Kind.QUANTISED)


def kinds() -> Iterator[Kind]:
    yield Kind(
        "models",
        "Merged and quantised models",
        "They are merged or exported again before they can be deployed.",
        _models_total,
        _models,
    )
    yield Kind(
        "events",
        "What runs said",
        "The log and the timeline of a run are short: how it went, not each step.",
        partial(table_total, Event),
        partial(_of_runs, Event),
    )
    yield Kind(
        "metrics",
        "Numbers of runs",
        "The charts of a run are empty; its results stay.",
        partial(table_total, Metric),
        partial(_of_runs, Metric),
    )
    yield Kind(
        "deliveries",
        "Deliveries of webhooks",
        "What was sent can be neither read nor sent again.",
        partial(table_total, Delivery),
        _deliveries,
    )


def _models_total() -> Total:
    kept = Artifact.objects.filter(kind__in=MADE_AGAIN, freed=None)
    found = kept.aggregate(num=Count("pk"), size=Sum("size_bytes", default=0))
    return Total(found["num"], found["size"])


def _models(before: datetime | None) -> Iterator[Candidate]:
    found = Artifact.objects.filter(kind__in=MADE_AGAIN, freed=None)
    if before is not None:
        found = found.filter(created__lt=before)
    kept = needed.kept_models()
    for artifact in found.select_related("run__pipeline").order_by("created", "pk"):
        if artifact.pk in kept or any(need.refuses for need in disposal.needs(artifact)):
            continue
        yield Candidate(
            name=f"{artifact.name} (artifact {artifact.pk})",
            since=artifact.created,
            size_bytes=artifact.size_bytes,
            delete=partial(_free, artifact),
            url=reverse("runs:model", args=[artifact.pk]),
        )


def _free(artifact: Artifact) -> int:
    if artifact.pk in needed.kept_models():
        return 0
    try:
        return disposal.free(artifact, None)
    except UserError:
        return 0  # somebody began to need it meanwhile


def _of_runs(model: type[Event | Metric], before: datetime | None) -> Iterator[Candidate]:
    """What settled runs said, or their numbers, run by run."""
    runs = needed.settled()
    if before is not None:
        runs = runs.filter(ended__lt=before)
    size = row_bytes(table_total(model))
    nums = dict(
        _chatter(model, runs)
        .order_by()
        .values("run")
        .annotate(num=Count("run"))
        .values_list("run", "num")
    )
    for run in runs.filter(pk__in=[*nums]).only("name", "ended").order_by("ended", "pk"):
        assert run.ended is not None, run
        yield Candidate(
            name=f"{run.name} (run {run.pk}), {nums[run.pk]:,} rows",
            since=run.ended,
            size_bytes=round(nums[run.pk] * size),
            delete=partial(_delete, model, run, size),
            url=reverse("runs:detail", args=[run.pk]),
        )


def _chatter(
    model: type[Event | Metric], runs: QuerySet[Run]
) -> QuerySet[Event, Event] | QuerySet[Metric, Metric]:
    if model is Event:
        return Event.objects.filter(run__in=runs, kind__in=CHATTER)
    return Metric.objects.filter(run__in=runs)


def _delete(model: type[Event | Metric], run: Run, size: float) -> int:
    still = needed.settled().filter(pk=run.pk)
    return round(_chatter(model, still).delete()[0] * size)


def _deliveries(before: datetime | None) -> Iterator[Candidate]:
    """Those that arrived or were given up, day by day."""
    over = Delivery.objects.exclude(status=Delivery.Status.WAITING)
    if before is not None:
        over = over.filter(created__lt=before)
    size = row_bytes(table_total(Delivery))
    days = over.order_by().annotate(day=TruncDay("created")).values_list("day")
    for day, num in days.annotate(num=Count("pk")).order_by("day"):
        its = over.filter(created__gte=day, created__lt=day + timedelta(days=1))
        yield Candidate(
            name=f"{day:%d %b %Y}, {num:,} deliveries",
            since=day,
            size_bytes=round(num * size),
            delete=partial(_delete_rows, its, size),
        )


def _delete_rows(rows: QuerySet[Delivery], size: float) -> int:
    return round(rows.delete()[0] * size)
