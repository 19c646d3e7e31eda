"""What a run said and measured: events, log, metrics, diagnosis, survival."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Field, Query, Schema

from apps.automation.paging import Page, Paging, page, shown
from apps.automation.rest import LARGEST_ID
from apps.runs.api.models import ArtifactOut
from apps.runs.api.shapes import RunRow, find, router
from apps.runs.figures import charts, metrics
from apps.runs.figures.diagnosis import diagnose
from apps.runs.figures.numbers import Finding, Level
from apps.runs.models import Artifact, Event
from apps.runs.page import lines, survival

MOST_NAMES = 200


class EventWanted(Paging):
    limit: int = Field(500, ge=1, le=5000)
    after: int = Field(0, ge=0, le=LARGEST_ID, description="Only events after this number.")
    kind: str = Field("", max_length=20)


class EventOut(Schema):
    seq: int = Field(description="Counts from 1 without a gap, per run.")
    attempt: int
    kind: str
    at: datetime
    data: dict[str, Any]


class LineOut(Schema):
    """An event as the log's page shows it."""

    seq: int
    attempt: int
    kind: str
    at: datetime
    level: str = Field(description="info, warning, error, or mark for a change of the run.")
    text: str


class MetricsWanted(Schema):
    name: list[str] = Field([], max_length=MOST_NAMES, description="Empty: all of them.")
    points: int = Field(2000, ge=2, le=20_000, description="At most about so many a metric.")
    after: int | None = Field(None, ge=0, le=2**31 - 1, description="Only later steps.")
    until: int | None = Field(None, ge=0, le=2**31 - 1)


class CurveOut(Schema):
    """A metric by step; a value is null where it was not finite."""

    steps: list[int]
    values: list[float | None]
    at: list[float] = Field(description="Unix time of each.")
    is_thinned: bool = Field(description="Whether lowest and highest stand for several steps.")


class MetricsOut(Schema):
    series: dict[str, CurveOut]


class FindingOut(Schema):
    """A sentence about the run, and one about what would mend it."""

    level: Level
    sentence: str
    advice: str
    good_step: int | None


@router.get("/{int:pk}/events", response=Page[EventOut], summary="What a run said")
def list_events(request: HttpRequest, pk: int, wanted: Query[EventWanted]) -> dict[str, Any]:
    """Oldest first. To go on listening, take `stream` from the last `seq` on."""
    return page(_events(request, pk, wanted), cursor=wanted.cursor, limit=wanted.limit, key="seq")


@router.get("/{int:pk}/log", response=Page[LineOut], summary="A run's log, line by line")
def log(request: HttpRequest, pk: int, wanted: Query[EventWanted]) -> dict[str, Any]:
    found = page(_events(request, pk, wanted), cursor=wanted.cursor, limit=wanted.limit, key="seq")
    return shown(found, _line)


@router.get(
    "/{int:pk}/log.txt",
    response={200: str},
    summary="A run's whole log as text",
    openapi_extra={
        "responses": {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
    },
)
def log_text(request: HttpRequest, pk: int) -> HttpResponse:
    events = find(request, pk).events.all()
    told = (lines.line_of(event) for event in events.iterator(chunk_size=2000))
    text = "".join(f"{line.at:%Y-%m-%d %H:%M:%S} {line.kind:9} {line.text}\n" for line in told)
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


@router.get("/{int:pk}/metrics", response=MetricsOut, summary="A run's numbers by step")
def get_metrics(request: HttpRequest, pk: int, wanted: Query[MetricsWanted]) -> dict[str, Any]:
    found = metrics.series(
        find(request, pk),
        wanted.name or None,
        points=wanted.points,
        after=wanted.after,
        until=wanted.until,
    )
    return {"series": {name: curve._asdict() for name, curve in found.items()}}


@router.get("/{int:pk}/metrics/names", response=list[str], summary="Which metrics a run has")
def metric_names(request: HttpRequest, pk: int) -> list[str]:
    return metrics.names(find(request, pk))


@router.get("/{int:pk}/artifacts", response=Page[ArtifactOut], summary="What a run kept")
def list_artifacts(request: HttpRequest, pk: int, wanted: Query[Paging]) -> dict[str, Any]:
    """Of a pipeline: what its stages kept too."""
    run = find(request, pk)
    found = Artifact.objects.filter(run=run) | Artifact.objects.filter(run__pipeline=run)
    return page(found, cursor=wanted.cursor, limit=wanted.limit)


@router.get("/{int:pk}/diagnosis", response=list[FindingOut], summary="What its numbers say")
def diagnosis(request: HttpRequest, pk: int) -> list[Finding]:
    """Plain sentences, gravest first; none when all is well, or where nothing is trained."""
    run = find(request, pk)
    return diagnose(charts.steps(run), charts.setup(run)) if charts.panels(run.kind) else []


@router.get("/{int:pk}/survival", response=dict[str, Any], summary="What an export keeps")
def survival_report(request: HttpRequest, pk: int) -> dict[str, Any]:
    """The report as its job left it; empty where there is none (yet)."""
    return survival.read(find(request, pk))


@router.get("/{int:pk}/stages", response=Page[RunRow], summary="A pipeline's stages")
def stages(request: HttpRequest, pk: int, wanted: Query[Paging]) -> dict[str, Any]:
    found = find(request, pk).stages.select_related("owner")
    return page(found, cursor=wanted.cursor, limit=wanted.limit, key="pk")


def _events(request: HttpRequest, pk: int, wanted: EventWanted) -> Any:
    found = find(request, pk).events.filter(seq__gt=wanted.after)
    return found.filter(kind=wanted.kind) if wanted.kind else found


def _line(event: Event) -> dict[str, Any]:
    line = lines.line_of(event)
    return {
        "seq": event.seq,
        "attempt": event.attempt,
        "kind": event.kind,
        "at": event.at,
        "level": line.level,
        "text": line.text,
    }
