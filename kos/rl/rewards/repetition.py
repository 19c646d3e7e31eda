"""A penalty for answers that repeat themselves, seen by the evaluations' own detector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from kos.evals.detectors.flags import repeats
from kos.rl.rewards.base import STAGES, Outcome, Parts, Situation, Stage


@STAGES.register
class Repetition(Stage):
    """Penalty for an answer that repeats itself.

    It does when sampling was ended for it, when its flags say so (they see the thinking too), or
    when the visible answer repeats a phrase by the detector of the evaluations. Source: Kimi
    k1.5 (arXiv:2501.12599), sec. 2.6.2, repeat detection; the penalty is not published.
    """

    kind: Literal["repetition"] = "repetition"
    penalty: float = Field(
        0.5, ge=0, le=10, description="Taken off an answer that repeats itself."
    )

    def parts(self, outcomes_G: Sequence[Outcome], situation: Situation) -> Sequence[Parts]:
        """``repetition``: minus the penalty, or 0."""
        return [
            {"repetition": -self.penalty if is_repetitive(outcome) else 0.0}
            for outcome in outcomes_G
        ]

    def numbers(self, outcomes_G: Sequence[Outcome], situation: Situation) -> dict[str, float]:
        """``repetition/share``: how many answers repeat themselves."""
        return {"repetition/share": sum(map(is_repetitive, outcomes_G)) / len(outcomes_G)}


def is_repetitive(outcome: Outcome) -> bool:
    """Whether the answer was ended for repeating itself, or does so."""
    return (
        outcome.stop_reason == "repetition"
        or "repetition" in outcome.flags
        or repeats(outcome.answer)
    )
