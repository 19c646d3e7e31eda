"""HealthBench Hard, the 1,000 that models fail most."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from kos.evals.benchmarks.base import BENCHMARKS, Benchmark, Needed
from kos.evals.benchmarks.published import LICENCE, PAPER, PLACE, simple_evals


@BENCHMARKS.register
class HealthBenchHard(Benchmark):
    """HealthBench Hard, the 1,000 that models fail most."""

    kind: Literal["healthbench_hard"] = "healthbench_hard"
    measures: ClassVar[str] = "The conversations of HealthBench that strong models did worst on."
    source: ClassVar[str] = PAPER
    needs: ClassVar[Needed | None] = Needed(
        "hard_2025-05-08-21-00-10.jsonl", PLACE, LICENCE, "healthbench", 1000
    )
    reference: ClassVar[str] = "healthbench_hard"

    def settings(self) -> dict[str, Any]:
        """As openai/simple-evals grades it: mean, then clip; one judge's call an item."""
        return simple_evals()
