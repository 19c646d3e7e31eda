"""Rewards are stages: the rubric's score first, then what each stage adds to it.

A file in this folder whose class is registered is a stage to choose. A stage sees the whole
group, because some (a length reward, a critic) compare the answers with each other.

Shapes: ``G`` graded answers to one prompt.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from kos.data.rubrics import RubricTask
from kos.messages import Source
from kos.registry import Choice, Registry

RUBRIC = "rubric"


@dataclass(frozen=True)
class Outcome:
    """One graded answer as rewards see it.

    ``score`` is the rubric's, in [0, 1] (mode ``unit``). ``num_tokens`` counts all that was
    generated, ``num_answer_tokens`` the visible answer. ``stop_reason`` is "stop", "length" (cut
    at the budget), or what ended it early ("repetition", "confident"). ``sources`` is what its
    tools brought. ``parts`` are the components so far, the rubric first; their sum is the reward.
    """

    score: float
    num_tokens: int
    num_answer_tokens: int
    answer: str = ""
    stop_reason: str = "stop"
    flags: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    parts: Mapping[str, float] = field(default_factory=dict)

    @property
    def reward(self) -> float:
        """The sum of the parts so far."""
        return total(self.parts)


def total(parts: Mapping[str, float]) -> float:
    """The sum of ``parts``, to twelve digits.

    1 - 1.1 and 0 - 0.1 differ in the seventeenth: a group whose answers all came to -0.1 would
    not count as equal, and one of them as the best.
    """
    return round(math.fsum(parts.values()), 12)


class Critic(Protocol):
    """Who compares answers for a stage; ``kos.rl.critic`` has the policy itself."""

    def win_rates(self, task: RubricTask, answers_G: Sequence[str]) -> list[float | None]:
        """How often each answer beat another, in [0, 1]; None where no verdict could be had."""


@dataclass(frozen=True)
class Situation:
    """What stands around a group.

    ``progress`` in [0, 1] is how far the training is, ``step`` counts iterations from 1.
    ``memory`` belongs to the stage alone, by its place in the list; it is JSON and lies in the
    checkpoint, so a resumed run remembers what an unbroken one would.
    """

    task: RubricTask
    progress: float
    step: int
    memory: dict[str, Any] = field(default_factory=dict)
    critic: Critic | None = None


# A stage's parts for one answer; None leaves the answer ungraded and out of its group.
Parts = Mapping[str, float] | None


class Stage(Choice):
    """Adds named parts to the reward of every answer of a group."""

    def parts(self, outcomes_G: Sequence[Outcome], situation: Situation) -> Sequence[Parts]:
        """What each answer gains or loses, by name; names are the stage's own."""
        raise NotImplementedError

    def numbers(self, outcomes_G: Sequence[Outcome], situation: Situation) -> dict[str, float]:
        """What the charts show beside the parts, averaged over the step's groups."""
        return {}


STAGES: Registry[Stage] = Registry("reward stage")


def rewarded(
    outcomes_G: Sequence[Outcome], stages: Sequence[Stage], situations: Sequence[Situation]
) -> list[Outcome | None]:
    """The group after all ``stages``, each with its own situation; None where one gave none."""
    kept: list[Outcome | None] = [
        replace(outcome, parts={RUBRIC: outcome.score}) for outcome in outcomes_G
    ]
    for stage, situation in zip(stages, situations, strict=True):
        places = [place for place, outcome in enumerate(kept) if outcome is not None]
        present = [outcome for outcome in kept if outcome is not None]
        if not present:
            break
        for place, outcome, parts in zip(
            places, present, stage.parts(present, situation), strict=True
        ):
            kept[place] = (
                None if parts is None else replace(outcome, parts={**outcome.parts, **parts})
            )
    return kept
