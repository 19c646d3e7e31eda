"""An agent's tasks in an invented patient's record, with charts of growing length.

After PhysicianBench: a task is passed when every checkpoint is, and what it asks is looked up,
decided, written into the record and said. The same six cases are played in charts of 20,000,
40,000 and 60,000 characters, so that faults of form show as the context grows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import comb
from statistics import fmean
from typing import Any, ClassVar, Literal

from pydantic import Field

from kos.data.rubrics import RubricTask
from kos.evals.benchmarks.base import (
    BENCHMARKS,
    Answers,
    Benchmark,
    Figure,
    by_part,
    passes,
    rate,
    tagged,
)
from kos.evals.regressions import CONTEXT_BANDS, Said, fails_in_form
from kos.evals.sandbox.cases import CASES, task_of
from kos.evals.scores import Mode
from kos.evals.statistics import estimate
from kos.events import RolloutDone

RUNS = 3


@BENCHMARKS.register
class PhysicianTasks(Benchmark):
    """Physicians' tasks in an embedded FHIR record."""

    kind: Literal["physician_tasks"] = "physician_tasks"
    sizes: tuple[int, ...] = Field(
        (20_000, 40_000, 60_000), description="Characters of the longest search's result."
    )

    measures: ClassVar[str] = (
        "Looking up, deciding and ordering in a long record, and how often calls and tags fail in "
        "form as the context grows."
    )
    source: ClassVar[str] = "Made by Kos after PhysicianBench; invented patients"
    reference: ClassVar[str] = "physicianbench"

    def settings(self) -> dict[str, Any]:
        """Three runs of each task; results of searches reach the model whole."""
        return {
            "samples": RUNS,
            "scoring": "unit",
            "sampling": {"max_tokens": 4096, "temperature": 1.0},
            "answering": {
                "kind": "endpoint",
                "observation_tokens": 32_000,
                "max_context": 262_144,
                "seconds": 900,
            },
            "grader": {"kind": "embedded"},
        }

    def tasks(self, seed: int = 0) -> list[RubricTask]:
        """Every case in every size."""
        return [
            self._task(task_of(case, size=size, seed=seed), size)
            for size in self.sizes
            for case in CASES
        ]

    def figures(
        self, tasks: Mapping[str, RubricTask], answers: Answers, mode: Mode
    ) -> list[Figure]:
        """pass@1, pass@k, pass^k, by chart size; faults of form by chart and by context."""
        return [
            figure
            for model, group in answers.items()
            for figure in (
                *_passed(model, "all", group),
                *(
                    figure
                    for part, inside in by_part(tasks, group).items()
                    for figure in (*_passed(model, part, inside), _form(model, part, inside))
                ),
                *_by_context(model, group),
            )
        ]

    def _task(self, task: RubricTask, size: int) -> RubricTask:
        part = f"chart {size // 1000}k"
        return task.model_copy(update={"tags": tagged("physician_tasks", part, *task.tags)})


def pass_at(runs: int, passed: int, k: int) -> float:
    """The chance that one of ``k`` runs passes, unbiased: 1 - C(n - c, k) / C(n, k)."""
    return 1 - comb(runs - passed, k) / comb(runs, k)


def pass_all(runs: int, passed: int, k: int) -> float:
    """The chance that ``k`` runs all pass, unbiased: C(c, k) / C(n, k); k = n: all or nothing."""
    return comb(passed, k) / comb(runs, k)


def _passed(model: str, part: str, group: Sequence[RolloutDone]) -> list[Figure]:
    """Means over tasks with their t interval. k is the fewest runs that a task has."""
    runs: dict[str, list[bool]] = {}
    for answer in group:
        if (outcome := passes(answer)) is not None:
            runs.setdefault(answer.example_id, []).append(outcome)
    if not runs:
        return []
    k = min(len(outcomes) for outcomes in runs.values())
    figures = [_mean(model, "pass@1", part, (fmean(one) for one in runs.values()))]
    if k > 1:
        counts = [(len(one), sum(one)) for one in runs.values()]
        figures += [
            _mean(model, f"pass@{k}", part, (pass_at(*count, k) for count in counts)),
            _mean(model, f"pass^{k}", part, (pass_all(*count, k) for count in counts)),
        ]
    return figures


def _mean(model: str, name: str, part: str, values: Iterable[float]) -> Figure:
    found = estimate([*values])
    assert found is not None
    low, high = max(0.0, found.low), min(1.0, found.high)
    return Figure(model, name, part, found.mean, low, high, found.n, note="mean over tasks")


def _form(model: str, part: str, group: Iterable[RolloutDone]) -> Figure:
    outcomes = [fails_in_form(Said.of(one)) for one in group if not one.error]
    return rate(model, "fails in form", part, outcomes)


def _by_context(model: str, group: Sequence[RolloutDone]) -> list[Figure]:
    """Faults of form against the longest prompt on the way, where the server tells its tokens."""
    lengths = [(one, Said.of(one).context) for one in group if not one.error]
    figures = []
    for start, end in CONTEXT_BANDS:
        inside = [one for one, n in lengths if n and start <= n and (end is None or n < end)]
        if inside:
            name = f"context {start // 1000}k" + (f" to {end // 1000}k" if end else " and more")
            figures.append(_form(model, name, inside))
    return figures
