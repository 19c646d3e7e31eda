"""The report of an evaluation: what a reader needs to believe or doubt its headline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any

from kos.data.rubrics import RubricTask
from kos.evals.scores import Scoring, SliceScore, prompt_means, slice_scores
from kos.evals.statistics import Comparison, compare, wilson
from kos.events import RolloutDone

# Whom an evaluation can ask, in this order.
MODELS = ("base", "warm_start", "trained", "exported")
# What is counted for every model, even at zero: a missing row would read as "not looked for".
FAULTS = ("think_leak", "unclosed_think", "unclosed_call", "repetition", "truncated", "empty")
SCREENING = (
    "Screening, not a score: no judge is configured, so positive items were graded by the words "
    "they share with the answer and negative items not at all."
)


@dataclass(frozen=True)
class Report:
    """An evaluation's numbers, ready for JSON, a page, or Markdown."""

    title: str
    mode: str
    stamp: str
    num_prompts: int
    samples: int
    models: list[dict[str, Any]]
    comparisons: list[dict[str, Any]]
    slices: list[dict[str, Any]]
    items: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, as ``report.json`` holds it."""
        return asdict(self)


def build(
    title: str,
    answers: Sequence[RolloutDone],
    tasks: Mapping[str, RubricTask],
    *,
    mode: Scoring,
    samples: int,
    seed: int,
) -> Report:
    """Put the graded ``answers`` of all models into one report."""
    by_model: dict[str, list[RolloutDone]] = {}
    for answer in answers:
        by_model.setdefault(answer.model, []).append(answer)
    scores = slice_scores(answers, tasks, mode=mode)
    is_screened = any("screening" in answer.components for answer in answers)
    return Report(
        title=title,
        mode=mode,
        stamp=SCREENING if is_screened else "",
        num_prompts=len(tasks),
        samples=samples,
        models=[_model_row(name, group, scores) for name, group in by_model.items()],
        comparisons=_comparisons(by_model, mode, seed),
        slices=[_slice_row(score) for score in scores if score.slice != "all"],
        items=_item_rows(by_model),
    )


def _model_row(name: str, answers: list[RolloutDone], scores: list[SliceScore]) -> dict[str, Any]:
    overall = next(score for score in scores if score.model == name and score.slice == "all")
    return {
        **_slice_row(overall),
        "chars": fmean(len(answer.answer) for answer in answers),
        "tokens": fmean(answer.num_answer_tokens for answer in answers),
        "faults": [_fault_row(fault, answers) for fault in FAULTS],
    }


def _slice_row(score: SliceScore) -> dict[str, Any]:
    found = score.estimate
    return {
        "model": score.model,
        "slice": score.slice,
        "value": score.value,
        "mean": found and found.mean,
        "standard_error": found and found.standard_error,
        "low": found and found.low,
        "high": found and found.high,
        "num_prompts": score.num_prompts,
        "num_answers": score.num_answers,
        "num_ungraded": score.num_ungraded,
    }


def _fault_row(fault: str, answers: list[RolloutDone]) -> dict[str, Any]:
    hits = sum(fault in answer.flags for answer in answers)
    low, high = wilson(hits, len(answers))
    return {"fault": fault, "hits": hits, "n": len(answers), "low": low, "high": high}


def _comparisons(
    by_model: Mapping[str, list[RolloutDone]], mode: Scoring, seed: int
) -> list[dict[str, Any]]:
    """Each stage against the one before it, then the last but one stage against the first."""
    means = {name: prompt_means(group, mode) for name, group in by_model.items()}
    pairs = list(pairwise(means))
    if "base" in means and "trained" in means and ("base", "trained") not in pairs:
        pairs.append(("base", "trained"))
    rows = []
    for baseline, candidate in pairs:
        found = compare(means[candidate], means[baseline], seed)
        if found is not None:
            rows.append(_comparison_row(baseline, candidate, found))
    return rows


def _comparison_row(baseline: str, candidate: str, found: Comparison) -> dict[str, Any]:
    return {
        "baseline": baseline,
        "candidate": candidate,
        **found.delta._asdict(),
        "p": found.p,
        "wins": found.wins,
        "ties": found.ties,
        "losses": found.losses,
    }


def _item_rows(by_model: Mapping[str, list[RolloutDone]]) -> list[dict[str, Any]]:
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
