"""Critics that answer from a rule, with the interface of the real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kos.data.rubrics import RubricTask
from kos.rl.critic.base import usual_win_rates
from kos.rl.critic.judgement import Bout, Judgement, Letter, pairs_of, settled
from kos.rl.critic.rubrics import Rubric

# Of the answers shown as A and B, the letter that is better; None cannot be read.
Rule = Callable[[str, str], Letter | None]


@dataclass
class ScriptedCritic:
    """Compares by ``rule``; an answer with a word of ``breaking`` breaks a mandatory rubric."""

    rule: Rule
    breaking: tuple[str, ...] = ()
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def judge(
        self,
        task: RubricTask,
        answers_G: Sequence[str],
        *,
        rubrics: Sequence[Rubric],
        mandatory: Sequence[Rubric],
    ) -> Judgement:
        self.asked.append(tuple(rubric.key for rubric in rubrics))
        bouts = [
            Bout(i, j, *settled(*self._both(answers_G[i], answers_G[j])))
            for i, j in pairs_of(len(answers_G))
        ]
        broken = [any(word in answer for word in self.breaking) for answer in answers_G]
        return Judgement(tuple(bouts), tuple(broken))

    def _both(self, first: str, second: str) -> tuple[Letter | None, Letter | None]:
        return self.rule(first, second), self.rule(second, first)

    def win_rates(self, task: RubricTask, answers_G: Sequence[str]) -> list[float | None]:
        return usual_win_rates(self, task, answers_G)


def longer(a: str, b: str) -> Letter | None:
    return "a" if len(a) > len(b) else "b"


def always_a(a: str, b: str) -> Letter | None:
    return "a"
