"""HealthBench's meta-evaluation: how far a judge agrees with physicians."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from kos.evals.benchmarks.base import BENCHMARKS, Benchmark, Needed
from kos.evals.benchmarks.published import LICENCE, PAPER


@BENCHMARKS.register
class MetaEvaluation(Benchmark):
    """HealthBench meta-evaluation, 29,511 verdicts of physicians."""

    kind: Literal["meta_evaluation"] = "meta_evaluation"
    measures: ClassVar[str] = (
        "Not a model but a judge: its verdicts beside those of physicians on the same answers."
    )
    source: ClassVar[str] = PAPER
    needs: ClassVar[Needed | None] = Needed(
        "2025-05-07-06-14-12_oss_meta_eval.jsonl",
        "https://openaipublic.blob.core.windows.net/simple-evals/healthbench/"
        "2025-05-07-06-14-12_oss_meta_eval.jsonl",
        LICENCE,
        "healthbench_meta",
        29511,
    )
    reference: ClassVar[str] = "healthbench_meta"
    is_of_labels: ClassVar[bool] = True

    def settings(self) -> dict[str, Any]:
        """None: labels are held against a judge on the judge's own page."""
        return {}
