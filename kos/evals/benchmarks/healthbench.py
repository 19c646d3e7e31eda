"""HealthBench, 5,000 conversations."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from kos.evals.benchmarks.base import BENCHMARKS, Benchmark, Needed
from kos.evals.benchmarks.published import LICENCE, PAPER, PLACE, simple_evals


@BENCHMARKS.register
class HealthBench(Benchmark):
    """HealthBench, 5,000 conversations."""

    kind: Literal["healthbench"] = "healthbench"
    measures: ClassVar[str] = (
        "Open health conversations, judged item by item against physicians' rubrics."
    )
    source: ClassVar[str] = PAPER
    needs: ClassVar[Needed | None] = Needed(
        "2025-05-07-06-14-12_oss_eval.jsonl", PLACE, LICENCE, "healthbench", 5000
    )
    reference: ClassVar[str] = "healthbench"

    def settings(self) -> dict[str, Any]:
        """As openai/simple-evals grades it: mean, then clip; one judge's call an item."""
        return simple_evals()
