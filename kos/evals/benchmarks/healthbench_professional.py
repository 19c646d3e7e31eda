"""HealthBench Professional: clinicians' own tasks, eight samples, longer answers cost points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, ClassVar, Literal

from kos.data.rubrics import RubricTask
from kos.evals.benchmarks.base import BENCHMARKS, Answers, Benchmark, Figure, Needed
from kos.evals.benchmarks.published import LICENCE, PROFESSIONAL_JUDGE
from kos.evals.scores import CENTER, COEFFICIENT, Mode, by_prompt, from_rollout
from kos.evals.statistics import variance_parts
from kos.events import RolloutDone


@BENCHMARKS.register
class HealthBenchProfessional(Benchmark):
    """HealthBench Professional, 525 tasks of clinicians."""

    kind: Literal["healthbench_professional"] = "healthbench_professional"
    measures: ClassVar[str] = (
        "Care consults, writing and research as clinicians ask for them, a third of it made to "
        "make models fail. What is above 2,000 characters costs points."
    )
    source: ClassVar[str] = "HealthBench Professional (arXiv:2604.27470)"
    needs: ClassVar[Needed | None] = Needed(
        "healthbench_professional_eval.jsonl",
        "https://huggingface.co/datasets/openai/healthbench-professional",
        LICENCE,
        "healthbench_professional",
        525,
    )
    reference: ClassVar[str] = "healthbench_professional"

    def settings(self) -> dict[str, Any]:
        """Eight samples; 2.94e-5 a character above 2,000, taken off before the mean (sec. 4.1)."""
        return {
            "samples": 8,
            "scoring": "healthbench_len",
            "length_center": CENTER,
            "length_coefficient": COEFFICIENT,
            "sampling": {"max_tokens": 16384, "temperature": 1.0},
            "system_prompt": "",
            "answering": {"kind": "endpoint"},
            "grader": {"kind": "judge", "model": PROFESSIONAL_JUDGE, "asks": "item"},
        }

    def figures(
        self, tasks: Mapping[str, RubricTask], answers: Answers, mode: Mode
    ) -> list[Figure]:
        """Mean and interval as the paper prints them."""
        return [
            figure
            for model, group in answers.items()
            if (figure := _paper(model, tasks, group, mode)) is not None
        ]


def _paper(
    model: str, tasks: Mapping[str, RubricTask], group: Sequence[RolloutDone], mode: Mode
) -> Figure | None:
    """Mean of prompt means with 1.96 SE about it, SE = sqrt(tau2 / n + s2 / (n m)), unclipped."""
    graded = [from_rollout(one, tasks[one.example_id]) for one in group]
    groups = [values for values in by_prompt(graded, mode).values() if values]
    if not groups:
        return None
    mean = fmean(fmean(values) for values in groups)
    reach = 1.96 * variance_parts(groups).standard_error
    return Figure(
        model,
        "score, the paper's interval",
        "all",
        mean,
        mean - reach,
        mean + reach,
        len(groups),
        note="mean of prompt means, 1.96 SE, before the clip",
    )
