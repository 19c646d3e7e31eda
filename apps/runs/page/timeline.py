"""What a run did when: waiting, attempts, phases and stages as bars; checkpoints, losses, stops.

Read from the run's own events, and drawn on the server: the picture is there without scripts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Max, Min
from django.db.models.fields.json import KT
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.accounts.guards import PageRequest, engineer
from apps.runs.models import ENDED, Event, Run, Status
from apps.runs.page import flow, lines
from apps.runs.page.frame import frame, visible_run
from apps.runs.page.progress import span

WIDTH = 1000
LABEL_WIDTH = 150
ROW_HEIGHT = 28
BAR_HEIGHT = 14
AXIS_HEIGHT = 26
MOST_MARKS = 400
TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
MARKS = {
    "checkpoint": ("◆", "checkpoint"),
    "saved": ("▼", "kept"),
    "lost": ("△", "lost"),
    "restarting": ("△", "restarted"),
    "failed": ("✗", "failed"),
    "serving": ("●", "serving"),
}


class Span(NamedTuple):
    """A stretch of time: in which row, of which look, and what it was."""

    row: str
    look: str
    start: datetime
    end: datetime
    text: str
    url: int | None = None

    @property
    def length(self) -> str:
        return span((self.end - self.start).total_seconds())


class Mark(NamedTuple):
    """A moment: ``seq`` is its line in the log."""

    at: datetime
    glyph: str
    look: str
    text: str
    seq: int


class Bar(NamedTuple):
    """A span as it is drawn."""

    span: Span
    x: float
    y: int
    width: float


class Drawn(NamedTuple):
    """The picture: rows with their labels, bars, marks and the axis."""

    rows: list[tuple[str, int]]
    bars: list[Bar]
    marks: list[tuple[Mark, float]]
    ticks: list[tuple[str, float]]
    height: int
    marks_y: int
    width: int = WIDTH


@engineer
@require_GET
def timeline(request: PageRequest, pk: int) -> HttpResponse:
    run = visible_run(request, pk)
    spans, marks = _stretches(run), _marks(run)
    context = frame(run, "timeline") | {
        "spans": spans,
        "marks": marks,
        "drawn": draw(spans, marks) if spans else None,
        "is_cut": len(marks) == MOST_MARKS,
    }
    fragment = "runs/_timeline.html" if request.htmx else "runs/timeline.html"
    return render(request, fragment, context)


def _stretches(run: Run) -> list[Span]:
    """Every stretch in the order of the rows."""
    own = [*_waits_and_attempts(run)]
    if run.kind == "pipeline":
        return [*own, *(one for stage in run.stages.order_by("pk") for one in _stage(stage))]
    return [*own, *_phases(run)]


def _waits_and_attempts(run: Run) -> Iterator[Span]:
    """Between two changes of status the run was in the first of them."""
    said = Event.objects.filter(run=run, kind="status").order_by("seq")
    turns = [(data, at) for data, at in said.values_list("data", "at")]
    ends = [*(at for _data, at in turns[1:]), run.ended or timezone.now()][: len(turns)]
    for (data, at), end in zip(turns, ends, strict=True):
        status = data["status"]
        if status in (Status.QUEUED, Status.LOST):
            yield Span("Queued", "wait", at, end, "waited for a worker")
        elif status == Status.STOPPING:
            yield Span("Working", "stop", at, end, "stopping")
        elif status == Status.RUNNING:
            number, worker = data.get("attempt"), data.get("worker")
            text = f"attempt {number} on {worker}" if worker else "running"
            yield Span("Working", "work", at, end, text)


def _phases(run: Run) -> Iterator[Span]:
    """From the first to the last word of each part of the work, in each attempt."""
    said = Event.objects.filter(run=run, kind="progress").order_by()
    found = (
        said.annotate(part=KT("data__stage"))
        .values("part", "attempt")
        .annotate(start=Min("at"), end=Max("at"))
    )
    for one in sorted(found, key=lambda one: (one["start"], one["end"])):
        text = f"{one['part']}, attempt {one['attempt']}" if run.attempt > 1 else one["part"]
        yield Span(
            one["part"].replace("_", " ").capitalize(), "phase", one["start"], one["end"], text
        )


def _stage(stage: Run) -> Iterator[Span]:
    title = flow.TITLES.get(stage.stage, stage.stage)
    now = timezone.now()
    begun = stage.started or (stage.ended if stage.is_ended else None) or now
    if begun > stage.created:
        yield Span(title, "wait", stage.created, begun, "queued", stage.pk)
    if stage.started:
        look = {Status.FAILED: "bad", Status.CANCELLED: "stop"}.get(Status(stage.status), "work")
        text = stage.status if stage.status in ENDED else "running"
        yield Span(title, look, stage.started, stage.ended or now, str(text), stage.pk)


def _marks(run: Run) -> list[Mark]:
    """Checkpoints and what was kept, lost or stopped: the newest, where there are very many."""
    said = Event.objects.filter(run=run, kind__in=MARKS).order_by("-seq")[:MOST_MARKS]
    marks = []
    for event in reversed(said):
        glyph, word = MARKS[event.kind]
        text = lines.line_of(event).text.partition("\n")[0]
        marks.append(Mark(event.at, glyph, event.kind, f"{word}: {text}", event.seq))
    return marks


def draw(spans: Sequence[Span], marks: Sequence[Mark]) -> Drawn:
    """Spans and marks as places in a picture ``WIDTH`` wide."""
    times = [time for one in spans for time in (one.start, one.end)] + [one.at for one in marks]
    first, last = min(times), max(times)
    whole = max(1.0, (last - first).total_seconds())
    inner = WIDTH - LABEL_WIDTH - 10

    def place(at: datetime) -> float:
        return round(LABEL_WIDTH + inner * (at - first).total_seconds() / whole, 1)

    names = list(dict.fromkeys(one.row for one in spans))
    tops = {
        name: number * ROW_HEIGHT + (ROW_HEIGHT - BAR_HEIGHT) // 2
        for number, name in enumerate(names)
    }
    bars = [
        # What took no time still shows.
        Bar(
            one,
            place(one.start),
            tops[one.row],
            max(2.0, round(place(one.end) - place(one.start), 1)),
        )
        for one in spans
    ]
    marks_y = len(names) * ROW_HEIGHT + 18
    height = marks_y + (10 if marks else -10) + AXIS_HEIGHT
    return Drawn(
        rows=[(name, tops[name] + 11) for name in names],
        bars=bars,
        marks=[(mark, place(mark.at)) for mark in marks],
        ticks=[*_ticks(first, last, place)],
        height=height,
        marks_y=marks_y,
    )


def _ticks(first: datetime, last: datetime, place: Any) -> Iterator[tuple[str, float]]:
    """Six to ten round times from the start on."""
    seconds = (last - first).total_seconds()
    step = next((tick for tick in TICKS if seconds / tick <= 8), TICKS[-1])
    step = max(step, round(seconds / 8)) if step == TICKS[-1] else step
    for number in range(int(seconds // step) + 1):
        at = first + timedelta(seconds=number * step)
        yield (span(number * step) if number else f"{timezone.localtime(at):%H:%M:%S}"), place(at)
