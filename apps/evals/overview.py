"""All numbers of a run's page as JSON: every model's headline, and one model in full."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from apps.evals import answers
from apps.runs.models import Run
from kos.evals.scores import GradedAnswer, Mode, State, prompt_means, score, value
from kos.evals.statistics import compare
from kos.evals.summary import headline, plain, summarise
from kos.events import ItemGrade

# Drawn points; the line and the bins are of all answers.
MAX_POINTS = 800
SHOWN_ITEMS = 25


class Choice(NamedTuple):
    """What a page is about: one model, beside a baseline if there is one."""

    mode: Mode
    model: str
    baseline: str = ""

    @property
    def key(self) -> str:
        """Names the numbers of this choice."""
        return f"{self.mode.label}:{self.model}:{self.baseline}"


def build(run: Run, choice: Choice) -> dict[str, Any]:
    """The numbers of the page and a row for each prompt, overrides in force."""
    everything = _by_model(answers.of_run(run))
    overridden = answers.num_overridden(run)
    original = _by_model(answers.of_run(run, original=True)) if overridden else everything
    chosen, before = (everything.get(name, []) for name in (choice.model, choice.baseline))
    after, baseline = (prompt_means(group, choice.mode) for group in (chosen, before))
    models = [
        _model(name, group, choice.mode)
        | {
            "num_overridden": overridden.get(name, 0),
            "original": score(original[name], choice.mode).value,
        }
        for name, group in everything.items()
    ]
    return {
        "numbers": {
            "models": models,
            "summary": _summary(chosen, before, choice.mode),
            "comparison": plain(compare(after, baseline, run.seed)),
            **losses(chosen),
        },
        "examples": examples(chosen, before, choice.mode),
    }


def _summary(
    chosen: Sequence[GradedAnswer], before: Sequence[GradedAnswer], mode: Mode
) -> dict[str, Any]:
    found = summarise(chosen, mode, baseline=before)
    length = plain(found.length) | {"points": thinned(found.length.points)}
    return dict(plain(found) | {"length": length})


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Evenly many points of every length: the picture keeps its shape."""
    step = max(1, -(-len(points) // MAX_POINTS))
    return sorted(points)[::step]


def losses(group: Sequence[GradedAnswer]) -> dict[str, list[dict[str, Any]]]:
    """The wishes that cost most by being missed, and the faults that cost most.

    ``cost`` is what an item takes from the mean score over graded answers: over all wishes and
    faults the costs add up to one minus that mean.
    """
    found: dict[str, dict[str, Any]] = {}
    scored = [answer for answer in group if answer.state in (State.GRADED, State.SCREENED)]
    for answer in scored:
        possible = sum(item.points for item in answer.items if item.points > 0)
        for item in answer.items:
            row = found.setdefault(_name(item), _row(item, answer))
            row["n"] += 1
            if is_lost(item) and possible:
                row["hits"] += 1
                row["points"] += abs(item.points)
                row["cost"] += abs(item.points) / possible / len(scored)
    lossy = sorted((row for row in found.values() if row["hits"]), key=lambda row: -row["cost"])
    return {
        "missed": [row for row in lossy if not row["is_fault"]][:SHOWN_ITEMS],
        "penalties": [row for row in lossy if row["is_fault"]][:SHOWN_ITEMS],
    }


def examples(
    chosen: Sequence[GradedAnswer], before: Sequence[GradedAnswer], mode: Mode
) -> list[dict[str, Any]]:
    """One row a prompt: what the table of examples is filtered and sorted by."""
    others = _by_prompt(before)
    return [
        _example(name, group, others.get(name, []), mode)
        for name, group in _by_prompt(chosen).items()
    ]


def is_lost(item: ItemGrade) -> bool:
    """Whether the item cost points: a wish not met, or a fault committed."""
    return item.met is not None and item.met is (item.points < 0)


def _model(name: str, group: Sequence[GradedAnswer], mode: Mode) -> dict[str, Any]:
    return {
        **plain(headline(group, mode)),
        "model": name,
        "is_clipped": score(group, mode).is_clipped,
        "graders": dict(Counter(item.grader for answer in group for item in answer.items)),
    }


def _name(item: ItemGrade) -> str:
    return next((tag for tag in item.tags if tag.startswith("cluster:")), item.key)


def _row(item: ItemGrade, answer: GradedAnswer) -> dict[str, Any]:
    return {
        "key": _name(item),
        "item": item.key,
        "text": "" if answer.restricted else item.text,
        "axis": next((tag[5:] for tag in item.tags if tag.startswith("axis:")), ""),
        "is_fault": item.points < 0,
        "n": 0,
        "hits": 0,
        "points": 0.0,
        "cost": 0.0,
    }


def _example(
    name: str, group: Sequence[GradedAnswer], before: Sequence[GradedAnswer], mode: Mode
) -> dict[str, Any]:
    values = [found for one in group if (found := value(one, mode)) is not None]
    mean, was = _mean(group, mode), _mean(before, mode)
    return {
        "id": name,
        "score": mean,
        "delta": None if mean is None or was is None else mean - was,
        "spread": max(values) - min(values) if len(values) > 1 else None,
        "samples": len(group),
        "chars": fmean(answer.chars for answer in group),
        "flags": sorted({flag for answer in group for flag in answer.flags}),
        "states": sorted({answer.state.value for answer in group}),
        "slices": dict(group[0].slices),
        "items": sorted({item.key for one in group for item in one.items if is_lost(item)}),
        "turns": group[0].num_turns,
        "restricted": group[0].restricted,
    }


def _by_model(group: Iterable[GradedAnswer]) -> dict[str, list[GradedAnswer]]:
    found: dict[str, list[GradedAnswer]] = defaultdict(list)
    for answer in group:
        found[answer.model].append(answer)
    return dict(found)


def _by_prompt(group: Iterable[GradedAnswer]) -> dict[str, list[GradedAnswer]]:
    found: dict[str, list[GradedAnswer]] = defaultdict(list)
    for answer in group:
        found[answer.prompt_id].append(answer)
    return dict(found)


def _mean(group: Sequence[GradedAnswer], mode: Mode) -> float | None:
    values = [found for answer in group if (found := value(answer, mode)) is not None]
    return fmean(values) if values else None
