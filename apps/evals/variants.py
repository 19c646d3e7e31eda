"""Score against length: the models of several evaluations, and which of them waste no token.

For variants that shorten answers (Kimi k1.5's long2short: averaged weights, shortest rejection
sampling, DPO, a second phase of RL) the question is what a token buys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from django.db.models import Avg
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounts.guards import PageRequest, reader
from apps.accounts.numerals import number
from apps.evals import answers, charts, reports
from apps.evals.charts import Axes, Tick
from apps.runs.models import Artifact, Run
from apps.traces.models import Trace
from kos.config import JOBS
from kos.evals.statistics import estimate

RECENT_RUNS = 60
MAX_RUNS = 24
# So far beyond the lowest and highest score the picture follows an interval.
REACH = 0.25
# From an evaluated model back to what trained it: merged, quantised, averaged, ...
DEPTH = 6
SHAPERS = ("train", "dpo", "sft", "average", "critic")
Counted = Literal["visible", "all"]
COUNTED = {"visible": "num_answer_tokens", "all": "num_tokens"}


@dataclass(frozen=True)
class Variant:
    """One model of one evaluation. Intervals are 95 %, over prompts; None where unknown.

    ``on_front``: no other variant is at least as good with as few tokens, and better in one.
    """

    number: int
    run: Run
    model: str
    made_by: Run | None
    score: float
    low: float
    high: float
    tokens: float
    tokens_low: float | None
    tokens_high: float | None
    num_prompts: int
    on_front: bool = False

    @property
    def made_as(self) -> str:
        """What shaped its answers, in a word or two."""
        return JOBS[self.made_by.kind].label() if self.made_by is not None else "as imported"


class Mark(NamedTuple):
    """Where a variant lies in the picture, with the ends of its intervals."""

    variant: Variant
    x: float
    y: float
    low: float
    high: float
    left: float
    right: float


@dataclass(frozen=True)
class Plot:
    """The picture: marks, and the front as the points of a line."""

    axes: Axes
    marks: list[Mark]
    front: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]


@reader
@require_GET
def show(request: PageRequest) -> HttpResponse:
    """The chosen evaluations; ``?runs=3,5`` and ``?runs=3&runs=5`` are the same."""
    known = reports.runs_for(request.user)
    wanted = _numbers(request.GET.getlist("runs"))
    counted: Counted = "all" if request.GET.get("tokens") == "all" else "visible"
    runs = sorted(known.filter(pk__in=wanted), key=lambda run: wanted.index(run.pk))
    shown = with_front(variants_of(runs, counted))
    recent = [*known[:RECENT_RUNS]]
    context = {
        "variants": sorted(shown, key=lambda one: one.tokens),
        "plot": plot(shown),
        "counted": counted,
        "chosen": {run.pk for run in runs},
        "choices": [*(run for run in runs if run not in recent), *recent],
        "empty": [run for run in runs if run.pk not in {one.run.pk for one in shown}],
        "unlike": unlike(runs),
    }
    return render(request, "evals/variants.html", context)


def variants_of(runs: Sequence[Run], counted: Counted) -> list[Variant]:
    """Every model of the runs that has a score and a length."""
    found: list[Variant] = []
    for run in runs:
        for row in _rows(run, counted):
            number = len(found) + 1
            made_by = shaped_by(run, row["model"])
            found.append(Variant(number=number, run=run, made_by=made_by, **row))
    return found


def with_front(variants: Sequence[Variant]) -> list[Variant]:
    """The variants with the Pareto front marked: few tokens and a high score."""
    return [
        replace(one, on_front=not any(_beats(other, one) for other in variants))
        for one in variants
    ]


def _beats(other: Variant, one: Variant) -> bool:
    is_as_good = other.score >= one.score and other.tokens <= one.tokens
    return is_as_good and (other.score > one.score or other.tokens < one.tokens)


def unlike(runs: Sequence[Run]) -> list[str]:
    """What differs between the evaluations, so that their scores are not of one kind."""
    reads: dict[str, Callable[[Run], object]] = {
        "dataset version": lambda run: run.dataset_id,
        "split": lambda run: run.config.get("split"),
        "mode": lambda run: answers.mode_of(run).label,
        "grader": lambda run: str(run.config.get("grader")),
    }
    return [name for name, read in reads.items() if len({read(run) for run in runs}) > 1]


def shaped_by(run: Run, model: str) -> Run | None:
    """The training behind a model of an evaluation; None for one that was only imported."""
    artifact = Artifact.objects.filter(uses__run=run, uses__name=model).select_related("run")
    found = artifact.first()
    for _ in range(DEPTH):
        if found is None or found.run.kind in SHAPERS:
            break
        made_of = Artifact.objects.filter(uses__run=found.run).select_related("run")
        adapter = made_of.filter(kind=Artifact.Kind.ADAPTER).first()
        found = adapter or made_of.filter(kind__in=("merged", "quantised")).first()
    return found.run if found is not None and found.run.kind in SHAPERS else None


def _rows(run: Run, counted: Counted) -> list[dict[str, Any]]:
    """Score and length of each model: from its answers, or from the report they left."""
    choice = reports.choose(run, {})
    if choice is None:
        return _rows_of_report(run) if counted == "visible" else []
    rows = []
    for one in reports.numbers_of(run, choice).numbers["models"]:
        known, length = one["score"]["estimate"], _length(run, one["model"], counted)
        if known is not None and length is not None:
            rows.append(
                {
                    "model": one["model"],
                    "score": one["score"]["value"],
                    "low": known["low"],
                    "high": known["high"],
                    "num_prompts": known["n"],
                    "tokens": length.mean,
                    "tokens_low": length.low,
                    "tokens_high": length.high,
                }
            )
    return rows


def _rows_of_report(run: Run) -> list[dict[str, Any]]:
    report = run.artifacts.filter(kind=Artifact.Kind.REPORT).first()
    rows = report.summary.get("models", []) if report is not None else []
    return [
        {
            "model": row["model"],
            "score": row["value"],
            "low": row["low"],
            "high": row["high"],
            "num_prompts": row["num_prompts"],
            "tokens": row["tokens"],
            "tokens_low": None,
            "tokens_high": None,
        }
        for row in rows
        if row.get("value") is not None and row.get("tokens") is not None
    ]


def _length(run: Run, model: str, counted: Counted) -> Any:
    """Mean tokens with its interval; the unit is the prompt, its samples averaged first."""
    given = Trace.objects.filter(run=run, model=model, error="").order_by()
    means = given.values("example_id").annotate(mean=Avg(COUNTED[counted]))
    return estimate([row["mean"] for row in means])


def plot(variants: Sequence[Variant]) -> Plot | None:
    """Score upwards, tokens to the right; None for nothing to draw."""
    if not variants:
        return None
    # An interval of two prompts may span ten times all others: it is cut at the edge.
    most = max(one.tokens for one in variants)
    longest = min(max(one.tokens_high or one.tokens for one in variants), 1.5 * most)
    scores = [one.score for one in variants]
    y_low = max(min(one.low for one in variants), min(scores) - REACH)
    y_high = min(max(one.high for one in variants), max(scores) + REACH)
    room = max(0.02, 0.08 * (y_high - y_low))
    axes = Axes(
        0,
        1.05 * longest or 1.0,
        y_low - room,
        y_high + room,
        width=460,
        height=300,
        left=40,
        bottom=40,
        right=14,
    )
    marks = [_mark(axes, one) for one in variants]
    front = sorted((mark for mark in marks if mark.variant.on_front), key=lambda mark: mark.x)
    return Plot(
        axes=axes,
        marks=marks,
        front=" ".join(f"{mark.x},{mark.y}" for mark in front),
        x_ticks=[Tick(axes.x(value), f"{value:g}") for value in charts.steps(0, axes.x_high)],
        y_ticks=[
            Tick(axes.y(value), f"{100 * value:g}".replace("-", charts.MINUS))
            for value in charts.steps(axes.y_low, axes.y_high)
        ],
    )


def _mark(axes: Axes, one: Variant) -> Mark:
    left, right = one.tokens_low, one.tokens_high
    return Mark(
        variant=one,
        x=axes.x(one.tokens),
        y=axes.y(one.score),
        low=axes.y(max(axes.y_low, one.low)),
        high=axes.y(min(axes.y_high, one.high)),
        left=axes.x(one.tokens if left is None else max(0.0, left)),
        right=axes.x(one.tokens if right is None else min(axes.x_high, right)),
    )


def _numbers(texts: Sequence[str]) -> list[int]:
    """Run numbers in the order given, each once; what is none is passed over."""
    parts = [part for text in texts for part in text.split(",")]
    found = [run for part in parts if (run := number(part)) is not None]
    return list(dict.fromkeys(found))[:MAX_RUNS]
