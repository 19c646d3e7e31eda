"""One run at a glance: how it stands, what it is made of, what went wrong and what is safe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Sum
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from apps.runs.figures.numbers import Step
from apps.runs.models import HELD, Event, Metric, Run
from apps.runs.operations import waiting
from apps.runs.page import lines, progress
from apps.runs.start import costing
from kos.rl.costs import Prices, Tokens

# A worker renews its lease several times in this time.
QUIET_SECONDS = 20
SILENT_SECONDS = 120
REPORTED_LINES = 20
MOST_TRACKERS = 12


class Fact(NamedTuple):
    """One cell of the grid: what it is called, its value, and where that leads."""

    label: str
    value: str
    url: str = ""
    is_mono: bool = False
    is_outside: bool = False


class Silence(NamedTuple):
    """How long nothing was heard of the worker."""

    seconds: float
    worker: str

    @property
    def is_silent(self) -> bool:
        return self.seconds >= SILENT_SECONDS

    @property
    def text(self) -> str:
        return progress.span(self.seconds)


class Safe(NamedTuple):
    """The state that a resumed run would take up."""

    step: int
    at: datetime


class Trouble(NamedTuple):
    """What ended a run: its cause in one line, the first line of the log that says so."""

    cause: str
    is_more: bool
    first_line: int | None


def head(run: Run) -> dict[str, Any]:
    """What stands above every tab."""
    is_live = run.status in HELD
    return {
        "bar": progress.overall(run),
        "now": progress.present_stage(run) if run.kind == "pipeline" and is_live else None,
        "place": place(run),
        "silence": silence(run),
        "trouble": trouble(run) if run.error else None,
        "safe": safe(run),
    }


def place(run: Run) -> int | None:
    """Its place in its queue, from 1; None for a run that does not wait."""
    if run.status not in waiting.WAITING or run.kind == "pipeline":
        return None
    order = waiting.waiting_runs(waiting.queue_of(run.kind)).values_list("pk", flat=True)
    return next((number for number, pk in enumerate(order, start=1) if pk == run.pk), None)


def silence(run: Run) -> Silence | None:
    """How long a working run has been quiet, once that is worth a word."""
    if run.status not in HELD or run.kind == "pipeline":
        return None
    seconds = (timezone.now() - run.touched).total_seconds()
    return Silence(seconds, run.worker) if seconds >= QUIET_SECONDS else None


def trouble(run: Run) -> Trouble:
    """A traceback's cause is its last line, anything else's its first."""
    said = [line.strip() for line in run.error.strip().splitlines() if line.strip()] or [""]
    is_traceback = any(line.startswith("Traceback") for line in said)
    cause = said[-1] if is_traceback else said[0]
    return Trouble(cause, len(said) > 1, lines.first_error(run))


def safe(run: Run) -> Safe | None:
    """The last checkpoint; None where the run keeps none, or has none yet."""
    event = Event.objects.filter(run=run, kind="checkpoint").order_by("-seq").first()
    return Safe(event.data.get("step", 0), event.at) if event else None


def facts(run: Run, prices: Prices | None = None) -> list[Fact]:
    """The grid of the overview."""
    return [fact for fact in _facts(run, prices) if fact.value]


def cost(run: Run, prices: Prices | None) -> float | None:
    """Dollars for the tokens so far, at the prices that the reader typed."""
    if prices is None:
        return None
    names = [f"tokens/{kind}" for kind in Tokens._fields]
    summed = Metric.objects.filter(run=run, name__in=names).order_by().values("name")
    totals = dict(summed.annotate(total=Sum("value")).values_list("name", "total"))
    return costing.spent_dollars([Step(0, totals)], prices)


def report(run: Run, said: Sequence[lines.Line], url: str) -> str:
    """The run's trouble as text, to paste where help is asked for."""
    rows = [f"{run.name} (run {run.pk}, {run.kind}): {run.status}", url, ""]
    rows += [f"{fact.label}: {fact.value}" for fact in facts(run)]
    rows += ["", run.error, "", "Last lines of the log:"]
    rows += [lines.text_of(line) for line in said[-REPORTED_LINES:]]
    return "\n".join(rows)


def _facts(run: Run, prices: Prices | None) -> Iterator[Fact]:
    yield Fact("Duration", progress.duration(run) or "not started")
    yield Fact("Attempts", _attempts(run))
    yield Fact("Worker", _worker(run), _address("runs:workers"), is_mono=True)
    for one in run.inputs.select_related("artifact").order_by("pk"):
        url = reverse("runs:model", args=[one.artifact_id])
        yield Fact(one.name.replace("_", " ").capitalize(), one.artifact.name, url)
    if run.dataset is not None:
        url = reverse("datasets:detail", args=[run.dataset_id])
        yield Fact("Dataset", str(run.dataset), url)
    if run.benchmark is not None:
        url = reverse("datasets:detail", args=[run.benchmark_id])
        yield Fact("Benchmark", str(run.benchmark), url)
    yield Fact("Owner", run.owner.username, f"{reverse('runs:list')}?owner={run.owner.username}")
    yield Fact("Seed", str(run.seed))
    yield Fact("Code", run.code_revision[:12] or "unknown", is_mono=True)
    yield Fact("Created", _day(run.created))
    yield Fact("Ended", _day(run.ended))
    yield from _trackers(run)
    dollars = cost(run, prices)
    yield Fact("Cost", f"${dollars:,.2f}" if dollars is not None else "")


def _trackers(run: Run) -> Iterator[Fact]:
    """Where trackers show the numbers of the run, or of a pipeline's stages."""
    whose = {"run__pipeline": run} if run.kind == "pipeline" else {"run": run}
    said = Event.objects.filter(**whose, kind="tracker", data__has_key="url").order_by("pk")
    for data in said.values_list("data", flat=True)[:MOST_TRACKERS]:
        # A tracker says its address itself: nothing but a page may come of it.
        if str(data["url"]).startswith(("https://", "http://")):
            yield Fact("Tracker", str(data.get("name", "")), data["url"], is_outside=True)


def _attempts(run: Run) -> str:
    if run.kind == "pipeline" or not run.attempt:
        return ""
    left = f", {run.attempts_left} left" if not run.is_ended else ""
    return f"{run.attempt}{left}"


def _worker(run: Run) -> str:
    """Who works on it, or worked on it last."""
    if run.worker or not run.attempt:
        return run.worker
    said = Event.objects.filter(run=run, kind="status", data__has_key="worker")
    event = said.order_by("-seq").first()
    return str(event.data["worker"]) if event else ""


def _day(at: datetime | None) -> str:
    return f"{timezone.localtime(at):%-d %b %Y %H:%M:%S}" if at else ""


def _address(name: str) -> str:
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""
