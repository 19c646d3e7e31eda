"""Groups of answers for the reward stages, and what they earn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from kos.rl.rewards.base import Outcome, Situation, Stage, rewarded
from tests.kos.engine.tiny import make_tasks

TASK = make_tasks(1)[0]

# Scores on both sides of every gate, lengths on both sides of every bound.
outcomes = st.builds(
    Outcome,
    score=st.sampled_from([0.0, 0.3, 0.5, 0.6799, 0.68, 0.9, 1.0]),
    num_tokens=st.integers(1, 9000),
    num_answer_tokens=st.integers(1, 9000),
    stop_reason=st.sampled_from(["stop", "length"]),
)
groups = st.lists(outcomes, min_size=1, max_size=8)


def situation(
    *, progress: float = 0.0, step: int = 1, memory: dict[str, Any] | None = None
) -> Situation:
    return Situation(TASK, progress, step, {} if memory is None else memory)


def earn(
    outcomes_G: Sequence[Outcome], stage: Stage, around: Situation | None = None
) -> list[float]:
    """The rewards of the group after ``stage``."""
    found = rewarded(outcomes_G, [stage], [around or situation()])
    return [outcome.reward for outcome in found if outcome is not None]


def assert_fair(outcomes_G: Sequence[Outcome], rewards_G: Sequence[float]) -> None:
    """At equal score a shorter answer earns no less; at equal length a better one earns no less."""
    for one, its in zip(outcomes_G, rewards_G, strict=True):
        for other, other_its in zip(outcomes_G, rewards_G, strict=True):
            is_as_good = one.score >= other.score and one.stop_reason == other.stop_reason
            is_as_short = (
                one.num_tokens <= other.num_tokens
                and one.num_answer_tokens <= other.num_answer_tokens
            )
            if is_as_good and is_as_short:
                assert its >= other_its - 1e-12
