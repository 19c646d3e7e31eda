"""The report of an evaluation: what a reader needs to believe or doubt its headline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from statistics import fmean
from typing import Any

from kos.data.rubrics import RubricTask
from kos.evals import drift, markdown
from kos.evals.benchmarks import benchmark_of
from kos.evals.regressions import Said
from kos.evals.scores import (
    GradedAnswer,
    Mode,
    Score,
    Scoring,
    State,
    from_rollout,
    prompt_means,
    score,
)
from kos.evals.slices import families_of, partition
from kos.evals.statistics import Comparison, compare, holm
from kos.evals.summary import Summary, plain, summarise
from kos.evals.tables import rates
from kos.events import RolloutDone

# Whom an evaluation can ask, in this order.
MODELS = ("base", "warm_start", "trained", "exported")
SCREENING = (
    "Screening, not a score: no judge is configured, so positive items were graded by the words "
    "they share with the answer and negative items not at all."
)
# Points of a scatter plot that the report keeps; more would hide each other.
MAX_POINTS = 1000


@dataclass(frozen=True)
class Report:
    """An evaluation's numbers, ready for JSON, a page, or Markdown.

    ``runs`` has a ``kos.evals.summary.Summary`` of each model as plain JSON, each but the first
    with its difference to the one before it. ``regressions`` has a ``kos.evals.drift.measured``
    of each model, ``changes`` what differs between one model and the next; ``figures`` are the
    numbers of the ``benchmark`` itself. Graded answers without their texts have none of these.
    """

    title: str
    mode: str
    stamp: str
    num_prompts: int
    samples: int
    models: list[dict[str, Any]]
    comparisons: list[dict[str, Any]]
    slices: list[dict[str, Any]]
    items: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    benchmark: str = ""
    figures: list[dict[str, Any]] = field(default_factory=list)
    regressions: dict[str, dict[str, Any]] = field(default_factory=dict)
    changes: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, as ``report.json`` holds it."""
        return asdict(self)


def build(
    title: str,
    answers: Sequence[RolloutDone],
    tasks: Mapping[str, RubricTask],
    *,
    mode: Scoring | Mode,
    samples: int,
    seed: int,
) -> Report:
    """Put the ``answers`` that a job gave into one report."""
    graded = [from_rollout(answer, tasks[answer.example_id]) for answer in answers]
    made = of_graded(title, graded, mode=mode, samples=samples, seed=seed, num_prompts=len(tasks))
    by_model: dict[str, list[RolloutDone]] = {}
    for answer in answers:
        by_model.setdefault(answer.model, []).append(answer)
    benchmark = benchmark_of([*tasks.values()])
    named = Mode(mode) if isinstance(mode, str) else mode
    figures = benchmark.figures(tasks, by_model, named) if benchmark else []
    said = {
        name: {(one.example_id, one.sample): Said.of(one) for one in group if not one.error}
        for name, group in by_model.items()
    }
    return replace(
        made,
        benchmark=type(benchmark).label() if benchmark else "",
        figures=[figure._asdict() for figure in figures],
        regressions={name: drift.measured([*group.values()]) for name, group in said.items()},
        changes=[
            {"baseline": first, "candidate": second, **drift.compared(said[first], said[second])}
            for first, second in pairwise(said)
        ],
    )


def of_graded(
    title: str,
    answers: Sequence[GradedAnswer],
    *,
    mode: Scoring | Mode,
    samples: int,
    seed: int,
    num_prompts: int = 0,
) -> Report:
    """Put graded answers of any source and of all models into one report."""
    named = Mode(mode) if isinstance(mode, str) else mode
    by_model: dict[str, list[GradedAnswer]] = {}
    for answer in answers:
        by_model.setdefault(answer.model, []).append(answer)
    is_screened = any(answer.state is State.SCREENED for answer in answers)
    return Report(
        title=title,
        mode=named.label,
        stamp=SCREENING if is_screened else "",
        num_prompts=num_prompts or len({answer.prompt_id for answer in answers}),
        samples=samples,
        models=[_model_row(name, group, named) for name, group in by_model.items()],
        comparisons=_comparisons(by_model, named, seed),
        slices=[row for name, group in by_model.items() for row in _slices(name, group, named)],
        items=_item_rows(by_model),
        runs=_runs(by_model, named),
    )


def _runs(by_model: Mapping[str, list[GradedAnswer]], mode: Mode) -> list[dict[str, Any]]:
    before: list[GradedAnswer] = []
    found = []
    for group in by_model.values():
        found.append(plain(_thinned(summarise(group, mode, baseline=before))))
        before = group
    return found


def _thinned(summary: Summary) -> Summary:
    points = summary.length.points
    step = -(-len(points) // MAX_POINTS) or 1
    return replace(summary, length=replace(summary.length, points=points[::step]))


def _model_row(name: str, answers: list[GradedAnswer], mode: Mode) -> dict[str, Any]:
    return {
        **_row(name, "all", answers, score(answers, mode)),
        "chars": fmean(answer.chars for answer in answers),
        "tokens": fmean(answer.num_tokens for answer in answers),
        "faults": [
            {
                "fault": rate.flag,
                "hits": rate.hits,
                "n": rate.n,
                "low": rate.low,
                "high": rate.high,
            }
            for rate in rates(answers)
        ],
    }


def _slices(name: str, answers: list[GradedAnswer], mode: Mode) -> list[dict[str, Any]]:
    rows = []
    for family in families_of(answers):
        for row in partition(answers, family, mode).rows:
            inside = [
                answer for answer in answers if answer.slices.get(family, row.name) == row.name
            ]
            rows.append(_row(name, f"{family}: {row.name}", inside, score(inside, mode)))
    return rows


def _row(model: str, place: str, answers: Sequence[GradedAnswer], found: Score) -> dict[str, Any]:
    known = found.estimate
    return {
        "model": model,
        "slice": place,
        "value": found.value,
        "mean": known and known.mean,
        "standard_error": known and known.standard_error,
        "low": known and known.low,
        "high": known and known.high,
        "num_prompts": len({answer.prompt_id for answer in answers}),
        "num_answers": len(answers),
        "num_ungraded": found.counts.requested - found.counts.graded,
    }


def _comparisons(
    by_model: Mapping[str, list[GradedAnswer]], mode: Mode, seed: int
) -> list[dict[str, Any]]:
    """Each stage against the one before it, then the last but one stage against the first."""
    means = {name: prompt_means(group, mode) for name, group in by_model.items()}
    pairs = list(pairwise(means))
    if "base" in means and "trained" in means and ("base", "trained") not in pairs:
        pairs.append(("base", "trained"))
    found = [
        (baseline, candidate, compared)
        for baseline, candidate in pairs
        if (compared := compare(means[candidate], means[baseline], seed)) is not None
    ]
    adjusted = holm([compared.p for _, _, compared in found])
    return [
        _comparison_row(baseline, candidate, compared) | {"p_holm": p}
        for (baseline, candidate, compared), p in zip(found, adjusted, strict=True)
    ]


def _comparison_row(baseline: str, candidate: str, found: Comparison) -> dict[str, Any]:
    return {
        "baseline": baseline,
        "candidate": candidate,
        **found.delta._asdict(),
        "p": found.p,
        "p_t": found.t_p,
        "bootstrap": found.bootstrap._asdict(),
        "mde": found.mde,
        "wins": found.wins,
        "ties": found.ties,
        "losses": found.losses,
    }


def _item_rows(by_model: Mapping[str, list[GradedAnswer]]) -> list[dict[str, Any]]:
    """How often each item key is met, by model; keys seen in fewer than 3 answers are left out."""
    rates: dict[str, dict[str, list[bool]]] = {}
    signs: dict[str, bool] = {}
    for model, answers in by_model.items():
        for answer in answers:
            for item in answer.items:
                if item.met is not None:
                    rates.setdefault(item.key, {}).setdefault(model, []).append(item.met)
                    signs[item.key] = item.points < 0
    rows = []
    for key, by_name in rates.items():
        count = max(len(met) for met in by_name.values())
        if count >= 3:
            met_rate = {model: fmean(met) for model, met in by_name.items()}
            rows.append({"key": key, "is_fault": signs[key], "n": count, "met": met_rate})
    return sorted(rows, key=lambda row: -row["n"])


def to_markdown(report: Report) -> str:
    """The report as a page of Markdown: what the terminal prints and the folder keeps."""
    lines = [f"# {report.title}", ""]
    if report.stamp:
        lines += [f"> {report.stamp}", ""]
    lines += [
        f"{report.num_prompts} prompts, {report.samples} answers each; scoring mode "
        f"`{report.mode}`; intervals are 95 % over prompts.",
        "",
        "| model | score | 95 % interval | standard error | characters | ungraded | faults |",
        "|---|---:|---|---:|---:|---:|---|",
        *[_model_line(row) for row in report.models],
        "",
        "| step | change | 95 % interval | p | won / tied / lost |",
        "|---|---:|---|---:|---|",
        *[_comparison_line(row) for row in report.comparisons],
        "",
        "| slice | " + " | ".join(row["model"] for row in report.models) + " | prompts |",
        "|---|" + "---:|" * (len(report.models) + 1),
        *_slice_lines(report),
        *markdown.figures(report.benchmark, report.figures),
        *markdown.regressions(report.regressions),
        *markdown.changes(report.changes),
    ]
    return "\n".join(lines) + "\n"


def _model_line(row: Mapping[str, Any]) -> str:
    faults = ", ".join(
        f"{fault['fault']} {fault['hits']}/{fault['n']}"
        for fault in row["faults"]
        if fault["hits"]
    )
    return (
        f"| {row['model']} | {_number(row['value'])} | {_number(row['low'])} to "
        f"{_number(row['high'])} | {_number(row['standard_error'])} | {row['chars']:.0f} | "
        f"{row['num_ungraded']} | {faults or 'none'} |"
    )


def _comparison_line(row: Mapping[str, Any]) -> str:
    return (
        f"| {row['baseline']} to {row['candidate']} | {row['mean']:+.3f} | {row['low']:+.3f} to "
        f"{row['high']:+.3f} | {_p_value(row['p'])} | {row['wins']} / {row['ties']} / {row['losses']} |"
    )


def _slice_lines(report: Report) -> list[str]:
    names = list(dict.fromkeys(row["slice"] for row in report.slices))
    cells = {(row["slice"], row["model"]): row for row in report.slices}
    lines = []
    for name in names:
        rows = [cells[name, model["model"]] for model in report.models]
        values = " | ".join(_number(row["value"]) for row in rows)
        lines.append(f"| {name} | {values} | {rows[0]['num_prompts']} |")
    return lines


def _p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
