"""The critic: all pairs of a group, in both orders, and the rules that cannot be weighed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from kos.data.rubrics import RubricTask
from kos.grading.rules import holds
from kos.rl.critic.judgement import Judgement
from kos.rl.critic.rubrics import MANDATORY, RUBRICS, Rubric, chosen, fitting

Broken = bool | None


class PairwiseCritic(Protocol):
    """Compares the answers of a group by rubrics. A ``kos.rl.rewards.base.Critic``."""

    def judge(
        self,
        task: RubricTask,
        answers_G: Sequence[str],
        *,
        rubrics: Sequence[Rubric],
        mandatory: Sequence[Rubric],
    ) -> Judgement:
        """All pairs in both orders by ``rubrics``, and who broke a ``mandatory`` one."""

    def win_rates(self, task: RubricTask, answers_G: Sequence[str]) -> list[float | None]:
        """Win rates by every rubric that fits the prompt, the usual ones mandatory."""


def usual_win_rates(
    critic: PairwiseCritic, task: RubricTask, answers_G: Sequence[str]
) -> list[float | None]:
    """What ``win_rates`` gives when nobody chose rubrics."""
    rubrics = fitting([*RUBRICS.values()], task)
    found = critic.judge(task, answers_G, rubrics=rubrics, mandatory=chosen(MANDATORY))
    return found.values("win_rate")


def broken_by_rule(answer: str, mandatory: Sequence[Rubric]) -> bool:
    """Whether the answer has a fault that needs no critic to be seen."""
    return any(rubric.fault is not None and holds(rubric.fault, answer) for rubric in mandatory)


def any_broken(found: Sequence[Broken]) -> Broken:
    """One rubric broken is enough; else one that could not be read leaves it open."""
    if any(broken is True for broken in found):
        return True
    return None if None in found else False
