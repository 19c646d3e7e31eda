"""Faithfulness to evidence: cited claims that the sources do not bear cost reward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from kos.harness.faithfulness import screened
from kos.rl.rewards.base import STAGES, Outcome, Parts, Situation, Stage


@STAGES.register
class Faithfulness(Stage):
    """Faithfulness to evidence: what is cited must stand in the source.

    weight * (supported / decided claims - 1), by the lexical check: numbers, names and words in
    common. A claim too short to compare is not counted. An answer that had no sources gets 0; one
    that had some and cites none loses ``uncited``, or silence would be the safest answer. Source:
    Kimi K2 (arXiv:2507.20534), sec. 3.2.1, faithfulness, where a model is the judge.
    """

    kind: Literal["faithfulness"] = "faithfulness"
    weight: float = Field(0.2, ge=0, le=10, description="Taken off when no claim is supported.")
    uncited: float = Field(
        0.1, ge=0, le=10, description="Taken off an answer that had sources and cites none."
    )

    def parts(self, outcomes_G: Sequence[Outcome], situation: Situation) -> Sequence[Parts]:
        """``faithfulness``, never more than 0."""
        return [{"faithfulness": self._part(outcome)} for outcome in outcomes_G]

    def _part(self, outcome: Outcome) -> float:
        if not outcome.sources:
            return 0.0
        found = screened(outcome.answer, {source.id: source for source in outcome.sources})
        if not found.claims:
            return -self.uncited
        share = found.share_supported
        return 0.0 if share is None else self.weight * (share - 1)
