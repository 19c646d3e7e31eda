"""HealthBench Consensus, 34 criteria that physicians agreed on."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from kos.evals.benchmarks.base import BENCHMARKS, Benchmark, Needed
from kos.evals.benchmarks.published import LICENCE, PAPER, PLACE, simple_evals


@BENCHMARKS.register
class HealthBenchConsensus(Benchmark):
    """HealthBench Consensus, 34 criteria that physicians agreed on."""

    kind: Literal["healthbench_consensus"] = "healthbench_consensus"
    measures: ClassVar[str] = (
        "Conversations graded only by criteria that several physicians agreed on."
    )
    source: ClassVar[str] = PAPER
    needs: ClassVar[Needed | None] = Needed(
        "consensus_2025-05-09-20-00-46.jsonl", PLACE, LICENCE, "healthbench", 3671
    )
    reference: ClassVar[str] = "healthbench_consensus"

    def settings(self) -> dict[str, Any]:
        """As openai/simple-evals grades it: mean, then clip; one judge's call an item."""
        return simple_evals()
