"""The scores of runs side by side: what they took, their results, evaluations and last numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from django.db.models import Prefetch
from django.urls import reverse

from apps.runs.figures.compare import Compared
from apps.runs.figures.numbers import Step
from apps.runs.models import Artifact, Run, RunInput
from apps.runs.page import lines, progress
from apps.runs.page.frame import flatten
from apps.runs.start import costing
from kos.rl.costs import Prices, short

# The first name that a metric begins with decides; of any other neither end is the better one.
DIRECTIONS: Mapping[str, Callable[[Iterable[float]], float]] = {
    "kl/correlation": max,
    "kl/": min,
    "loss": min,
    "reward/std": max,
    "reward/": max,
    "accuracy": max,
    "margin": max,
    "gate/pass_rate": max,
    "critic/agreement": max,
    "select/correct": max,
    "mandatory/": max,
    "tokens/per_second": max,
    "tokens/discarded": min,
    "length/cut": min,
    "groups/equal": min,
    "ungraded": min,
    "staleness/": min,
    "time/": min,
}


class Cell(NamedTuple):
    """What one run has in a row; ``delta`` is its difference to the first run."""

    text: str
    delta: str = ""
    is_best: bool = False
    url: str = ""


class Row(NamedTuple):
    """One line of a table: a cell a run."""

    label: str
    cells: list[Cell]
    note: str = ""


class Table(NamedTuple):
    """Rows of one sort under their heading."""

    title: str
    rows: list[Row]


def tables(found: Sequence[Compared], prices: Prices | None) -> list[Table]:
    """The scores: what the runs took, their results, evaluations and last numbers."""
    made = [
        Table("What they took", [*_costs(found, prices)]),
        Table("Evaluations", _evaluations(found)),
        Table("Results", [*_results(found)]),
        Table("Last numbers", [*_finals(found)]),
    ]
    return [table for table in made if table.rows]


def _costs(found: Sequence[Compared], prices: Prices | None) -> Iterator[Row]:
    yield Row("Status", [Cell(one.run.get_status_display()) for one in found])
    yield Row("Duration", [Cell(progress.duration(one.run) or "not started") for one in found])
    yield _row(
        "Steps", [one.last_step for one in found], told="{:,.0f}".format, is_told_apart=False
    )
    for label, name in (("Tokens sampled", "sampled"), ("Tokens trained on", "trained")):
        tokens = [one.spent.get(f"tokens/{name}") for one in found]
        yield _row(label, tokens, told=short, is_told_apart=False)
    steps = [sum(v for n, v in one.spent.items() if n.startswith("time/")) for one in found]
    seconds = [value or None for value in steps]
    yield _row("Time of its steps", seconds, told=progress.span, is_told_apart=False)
    dollars = [costing.spent_dollars([Step(0, one.spent)], prices) for one in found]
    if any(value is not None for value in dollars):
        yield _row("Cost of its tokens", dollars, told="${:,.2f}".format)


def _results(found: Sequence[Compared]) -> Iterator[Row]:
    """What the jobs said at their end; only of runs that have it."""
    told = [flatten(one.run.result) if one.run.result else {} for one in found]
    for label in dict.fromkeys(label for one in told for label in one):
        yield Row(label, [Cell(one.get(label, "")) for one in told])


def _finals(found: Sequence[Compared]) -> Iterator[Row]:
    """The last number of every metric, the best one marked where one end is the better."""
    for name in sorted({name for one in found for name in one.lasts}):
        values = [one.lasts.get(name) for one in found]
        if any(value is not None for value in values):
            yield _row(name, values, better=_better(name))


def _evaluations(found: Sequence[Compared]) -> list[Row]:
    """What evaluations made of the runs' own models: a row a dataset, its newest report."""
    makers = {run.pk: one.run.pk for one in found for run in (one.run, one.charted)}
    asked = (
        RunInput.objects.filter(artifact__run__in=_family(found), run__kind="evaluate")
        .select_related("run__dataset__dataset", "artifact__run")
        .prefetch_related(Prefetch("run__artifacts", queryset=_reports(), to_attr="reports"))
        .order_by("run_id")
    )
    values: dict[str, dict[int, tuple[float, int]]] = {}
    for one in asked:
        maker = one.artifact.run
        owner = makers.get(maker.pk) or makers.get(maker.pipeline_id or 0)
        value = _value_of(one)
        if owner is not None and value is not None:
            label = str(one.run.dataset or one.run.name)
            values.setdefault(label, {})[owner] = (value, one.run_id)
    return [_evaluation(label, by_run, found) for label, by_run in values.items()]


def _evaluation(
    label: str, by_run: Mapping[int, tuple[float, int]], found: Sequence[Compared]
) -> Row:
    scored = [by_run.get(one.run.pk) for one in found]
    row = _row(label, [score[0] if score else None for score in scored], better=max)
    linked = [
        cell._replace(url=reverse("runs:detail", args=[score[1]]) if score else "")
        for cell, score in zip(row.cells, scored, strict=True)
    ]
    return row._replace(cells=linked)


def _family(found: Sequence[Compared]) -> list[int]:
    """The runs and, of pipelines, their stages: whatever may have kept a model."""
    own = [one.run.pk for one in found]
    return [*own, *Run.objects.filter(pipeline__in=own).values_list("pk", flat=True)]


def _reports() -> Any:
    return Artifact.objects.filter(kind=Artifact.Kind.REPORT).order_by("pk")


def _value_of(asked: Any) -> float | None:
    """The headline of the one model that was ``asked``, in the newest report of its run."""
    for report in reversed(asked.run.reports):
        for model in report.summary.get("models", []):
            if model.get("model") == asked.name:
                value = model.get("value")
                return value if isinstance(value, (int, float)) else None
    return None


def _row(
    label: str,
    values: Sequence[float | None],
    *,
    told: Callable[[float], str] = lines.number,
    better: Callable[[Iterable[float]], float] | None = None,
    is_told_apart: bool = True,
) -> Row:
    """Numbers with their differences to the first run's, the best of at least two marked."""
    known = [value for value in values if value is not None]
    best = better(known) if better and len(known) > 1 and len(set(known)) > 1 else None
    first = values[0] if values else None
    return Row(
        label,
        [
            Cell("")
            if value is None
            else Cell(
                told(value), _delta(value, first) if place and is_told_apart else "", value == best
            )
            for place, value in enumerate(values)
        ],
    )


def _delta(value: float, first: float | None) -> str:
    if first is None:
        return ""
    return "the same" if value == first else f"{value - first:+.3g}".replace("-", "\N{MINUS SIGN}")


def _better(name: str) -> Callable[[Iterable[float]], float] | None:
    return next((better for start, better in DIRECTIONS.items() if name.startswith(start)), None)
