"""Kimi K2's self-critique reward: the policy compares its own answers by rubrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import Field, field_validator

from kos.errors import UserError
from kos.events import Job
from kos.rl.critic.base import PairwiseCritic
from kos.rl.critic.choices import CRITICS, CriticChoice, PolicyItself
from kos.rl.critic.judgement import shares
from kos.rl.critic.rubrics import MANDATORY, RUBRICS, Rubric, chosen, fitting, of_task
from kos.rl.rewards.base import STAGES, Outcome, Parts, Situation, Stage

if TYPE_CHECKING:
    from kos.engine.base import Engine

TALLIES = "tallies"


@STAGES.register
class SelfCritique(Stage):
    """Self-critique: answers compared two by two by rubrics (Kimi K2).

    Every pair of the group in both orders; a verdict that the order flips is a tie. The part is
    ``weight`` times the win rate in [0, 1], or times what the Bradley-Terry model expects it to
    be. An answer that breaks a mandatory rubric is worth the group's minimum; one without a
    readable verdict is ungraded. Source: arXiv:2507.20534, sec. 3.2.2; how verdicts are added up
    is not published there.
    """

    kind: Literal["self_critique"] = "self_critique"
    weight: float = Field(0.3, ge=0, le=10, description="What winning every comparison earns.")
    method: Literal["win_rate", "bradley_terry"] = Field(
        "win_rate",
        description="win_rate counts wins; bradley_terry weighs who was beaten.",
    )
    prior: float = Field(
        0.5,
        gt=0,
        le=100,
        description="Wins that the Bradley-Terry model gives each answer over each other one.",
    )
    rubrics: tuple[str, ...] = Field(
        tuple(RUBRICS),
        min_length=1,
        description="What answers are compared by, one name a line; those that were written for "
        "another sort of request are left out.",
    )
    mandatory: tuple[str, ...] = Field(
        MANDATORY,
        description="Rubrics that cannot be weighed, one name a line: breaking one is worth the "
        "group's minimum. calibrated_uncertainty is Kos's own, since a critic alone favours "
        "confident answers.",
    )
    own: tuple[str, ...] = Field(
        (), description="Rubrics of your own, one sentence a line, for every prompt."
    )
    of_prompt: bool = Field(
        False, description="Compare by the prompt's own rubric items as well (human rubrics)."
    )
    critic: Annotated[CriticChoice, CRITICS] = PolicyItself()

    @field_validator("rubrics", "mandatory")
    @classmethod
    def _are_known(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        try:
            chosen(keys)
        except UserError as error:
            raise ValueError(str(error)) from error
        return keys

    def parts(self, outcomes_G: Sequence[Outcome], situation: Situation) -> Sequence[Parts]:
        """``critique``; asks ``situation.critic``, which ``critics_for`` opens."""
        critic = _critic_of(situation)
        found = critic.judge(
            situation.task,
            [outcome.answer for outcome in outcomes_G],
            rubrics=self._criteria(situation),
            mandatory=fitting(chosen(self.mandatory), situation.task),
        )
        _remember(situation, found.tally())
        values_G = found.values(self.method, prior=self.prior)
        return [None if value is None else {"critique": self.weight * value} for value in values_G]

    def numbers(self, outcomes_G: Sequence[Outcome], situation: Situation) -> dict[str, float]:
        """Shares of verdicts flipped by the order, tied and unreadable, and of rubrics broken."""
        told = situation.memory.get(TALLIES, {})
        if told.get("step") != situation.step:
            return {}
        return shares(told["groups"].get(situation.task.id, []))

    def _criteria(self, situation: Situation) -> list[Rubric]:
        own = [
            Rubric(f"own:{number}", "human", f"Rule {number}", text)
            for number, text in enumerate(self.own, 1)
        ]
        asked = of_task(situation.task) if self.of_prompt else ()
        return [*fitting(chosen(self.rubrics), situation.task), *own, *asked]


def critics_for(stages: Sequence[Stage], engine: Engine, job: Job) -> list[PairwiseCritic | None]:
    """The critic of every stage, in their order; None for a stage that compares nothing.

    The training loop opens them once and gives each stage its own in ``Situation.critic``.
    """
    return [
        stage.critic.open(engine, job) if isinstance(stage, SelfCritique) else None
        for stage in stages
    ]


def _critic_of(situation: Situation) -> PairwiseCritic:
    if not hasattr(situation.critic, "judge"):
        raise UserError(
            "self-critique needs a critic that compares answers by rubrics, and there is none "
            "here; leave the stage out, or train with an engine that can be asked"
        )
    return cast(PairwiseCritic, situation.critic)


def _remember(situation: Situation, tally: dict[str, int]) -> None:
    """Counts of this step by prompt, for ``numbers``: nobody is asked twice."""
    told: dict[str, Any] = situation.memory.setdefault(TALLIES, {})
    if told.get("step") != situation.step:
        told.clear()
        told.update(step=situation.step, groups={})
    told["groups"].setdefault(situation.task.id, []).append(tally)
