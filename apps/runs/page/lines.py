"""The log of a run: its events as lines of text, by level and by the words in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils import timezone

from apps.runs.models import Event, Run

# Rollouts have pages of their own; progress is drawn as bars.
SILENT = ("rollout", "progress", "stage")
PAGE = 500
# A download goes out in pieces of this many lines.
PIECE = 2000
WARNINGS = ("lost", "restarting")
# These say their level themselves.
LEVELLED = ("note", "tracker")
# Only these carry an ``error``; naming them spares a look at every event of the run.
MAY_FAIL = ("status", "failed")
HEADLINES = (
    "reward/mean",
    "reward/rubric",
    "length/output",
    "kl/sample_train_v2",
    "loss",
    "tokens/per_second",
)


class Line(NamedTuple):
    """One line; ``level`` is info, warning, error, or mark for a change of the run itself.

    ``parts`` is the text again where words in it were searched for: (text, is a hit).
    """

    seq: int
    at: datetime
    kind: str
    level: str
    text: str
    parts: tuple[tuple[str, bool], ...] = ()

    @property
    def clock(self) -> str:
        """The time of day; a page has hundreds of these, which templates would write slowly."""
        return f"{timezone.localtime(self.at):%H:%M:%S}"

    @property
    def iso(self) -> str:
        return self.at.isoformat()


class Wanted(NamedTuple):
    """Which lines: at least this grave (``warning``, ``error``; empty for all), with these words."""

    level: str = ""
    words: tuple[str, ...] = ()


ALL = Wanted()


def tail(run: Run, wanted: Wanted = ALL, *, limit: int = PAGE) -> list[Line]:
    """The last ``limit`` lines, oldest first."""
    events = _spoken(run, wanted).order_by("-seq")[:limit]
    return [line_of(event) for event in reversed(events)]


def after(run: Run, seq: int, wanted: Wanted = ALL, *, limit: int = PAGE) -> list[Line]:
    """Lines said after event ``seq``."""
    events = _spoken(run, wanted).filter(seq__gt=seq).order_by("seq")[:limit]
    return [line_of(event) for event in events]


def before(run: Run, seq: int, wanted: Wanted = ALL, *, limit: int = PAGE) -> list[Line]:
    """The ``limit`` lines said before event ``seq``, oldest first."""
    events = _spoken(run, wanted).filter(seq__lt=seq).order_by("-seq")[:limit]
    return [line_of(event) for event in reversed(events)]


def around(run: Run, seq: int, wanted: Wanted = ALL, *, limit: int = PAGE) -> list[Line]:
    """Event ``seq`` with what was said before and after it."""
    older = before(run, seq, wanted, limit=limit // 2)
    return older + after(run, seq - 1, wanted, limit=limit - len(older))


def first_error(run: Run) -> int | None:
    """The event that first said something is wrong; None when none did."""
    wanted = _spoken(run, Wanted("error")).order_by("seq")
    return wanted.values_list("seq", flat=True).first()


def texts(run: Run, wanted: Wanted = ALL) -> Iterator[list[str]]:
    """Every line as plain text, a piece at a time: a log may have a hundred thousand."""
    seen = 0
    while found := after(run, seen, wanted, limit=PIECE):
        yield [text_of(line) for line in found]
        seen = found[-1].seq


def text_of(line: Line) -> str:
    """``2026-11-22 14:02:11 warning note  text``."""
    at = timezone.localtime(line.at)
    return f"{at:%Y-%m-%d %H:%M:%S} {line.level:7} {line.kind:10} {line.text}"


def marked(text: str, words: Sequence[str]) -> tuple[tuple[str, bool], ...]:
    """The text in parts, and which of them is one of ``words``: what a page highlights."""
    lower = text.lower()
    if len(lower) != len(text):
        return ((text, False),)  # letters whose small form is longer: places would not agree
    parts: list[tuple[str, bool]] = []
    place = 0
    while hits := [
        (at, -len(word)) for word in words if (at := lower.find(word.lower(), place)) >= 0
    ]:
        at, length = min(hits)
        parts += [(text[place:at], False), (text[at : at - length], True)]
        place = at - length
    return tuple(part for part in [*parts, (text[place:], False)] if part[0])


def line_of(event: Event) -> Line:
    data = event.data
    level = data.get("level", "info") if event.kind in LEVELLED else LEVELS.get(event.kind, "info")
    if data.get("error"):
        level = "error"
    text = SAYS[event.kind](data) if event.kind in SAYS else pairs(data)
    return Line(event.seq, event.at, event.kind, level, text)


def number(value: Any) -> str:
    """Four significant digits, whole numbers whole."""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


def pairs(data: Mapping[str, Any]) -> str:
    return "  ".join(f"{key} {number(value)}" for key, value in data.items())


def _step(data: Mapping[str, Any]) -> str:
    """The numbers that tell most; the page's table has them all."""
    metrics = data["metrics"]
    told = {name: metrics[name] for name in HEADLINES if name in metrics} or metrics
    return f"{data['step']}  {pairs(told)}"


def _status(data: Mapping[str, Any]) -> str:
    who = f", attempt {data['attempt']} on {data['worker']}" if data.get("worker") else ""
    why = f": {data['error']}" if data.get("error") else ""
    return f"{data['status']}{who}{why}"


def _spoken(run: Run, wanted: Wanted = ALL) -> QuerySet[Event]:
    events = Event.objects.filter(run=run).exclude(kind__in=SILENT)
    if wanted.level:
        has_error = Q(kind__in=MAY_FAIL, data__has_key="error") & ~Q(data__error="")
        grave = Q(kind__in=LEVELLED, data__level="error") | has_error
        if wanted.level == "warning":
            grave |= Q(kind__in=LEVELLED, data__level="warning") | Q(kind__in=WARNINGS)
        events = events.filter(grave)
    if wanted.words:
        events = events.annotate(said=Cast("data", TextField()))
    for word in wanted.words:
        events = events.filter(Q(said__icontains=_in_json(word)) | Q(kind__icontains=word))
    return events


def _in_json(word: str) -> str:
    """The word as the database writes it inside JSON."""
    return word.replace("\\", "\\\\").replace('"', '\\"')


LEVELS = {
    "status": "mark",
    "rolled_back": "mark",
    "edit": "mark",
    "lost": "warning",
    "restarting": "warning",
}
SAYS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "note": lambda data: data["text"],
    "edit": lambda data: data["text"],
    "tracker": lambda data: data["text"],
    "failed": lambda data: f"{data['error']}\n{data.get('traceback', '')}".strip(),
    "step": _step,
    "saved": lambda data: f"{data['artifact']} at {data['path']}  {pairs(data['summary'])}"[:400],
    "checkpoint": lambda data: f"after step {data['step']}",
    "serving": lambda data: f"{data['model']} answers",
    "restarting": lambda data: (
        f"started again in {data['wait_seconds']:g} s, time {data['time']} in a row: {data['reason']}"
    ),
    "result": lambda data: pairs(data["summary"])[:400],
    "status": _status,
    "rolled_back": lambda data: (
        f"rolled back from {data['name']} (run {data['run']}) at step {data['step']}"
    ),
    "lost": lambda data: f"attempt {data['attempt']} on {data['worker']}: {data['reason']}",
}
