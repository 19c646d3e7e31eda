"""The policy as its own critic (Kimi K2, sec. 3.2.2): the engine that trains also judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kos.data.rubrics import RubricTask
from kos.engine.base import Engine
from kos.grading.pairwise import Preference
from kos.rl.critic.base import Broken, any_broken, broken_by_rule, usual_win_rates
from kos.rl.critic.judgement import Bout, Judgement, pairs_of, settled
from kos.rl.critic.rubrics import Rubric
from kos.rl.critic.verdicts import LETTERS, Odds, read_odds, write_letters
from kos.rl.critic.wording import Messages, ask_pair, ask_rule

# Who is better, and whether the order of the two flipped it.
Verdict = tuple[Preference | None, bool]


@dataclass(frozen=True)
class EngineCritic:
    """An engine's policy compares answers, with the weights that it has at that moment.

    ``reads`` "logprob" takes the likelier letter, so that even a model of 135M parameters has a
    verdict; a question whose letters have less than ``min_mass`` together is unreadable. "text"
    reads a written reply of at most ``max_tokens``, thinking included.

    ``orders`` "agree" wants the same verdict in both orders, else it is a tie. "cancel" takes the
    odds of one order from those of the other, which frees them of a liking for a letter: small
    models say A whatever stands there (SmolLM2-135M does on every probe), and yet lean.
    """

    engine: Engine
    reads: Literal["logprob", "text"] = "logprob"
    min_mass: float = 0.0
    max_tokens: int = 512
    orders: Literal["agree", "cancel"] = "agree"

    def judge(
        self,
        task: RubricTask,
        answers_G: Sequence[str],
        *,
        rubrics: Sequence[Rubric],
        mandatory: Sequence[Rubric],
    ) -> Judgement:
        """G (G - 1) questions on pairs, and two on each answer for each mandatory rubric."""
        pairs = pairs_of(len(answers_G)) if rubrics else []
        asked = [rubric for rubric in mandatory if rubric.fault is None]
        spoken = [(turn.role, turn.content) for turn in task.messages]
        found = self._both_orders(
            [
                *(
                    ask_pair(spoken, answers_G[a], answers_G[b], rubrics)
                    for first, second in pairs
                    for a, b in ((first, second), (second, first))
                ),
                *(
                    ask_rule(spoken, answer, rubric, broken=broken)
                    for answer in answers_G
                    for rubric in asked
                    for broken in LETTERS
                ),
            ]
        )
        bouts = [Bout(*pair, *verdict) for pair, verdict in zip(pairs, found, strict=False)]
        rules = [_is_broken(preference) for preference, _ in found[len(pairs) :]]
        width = len(asked)
        broken_G = [
            broken_by_rule(answer, mandatory) or any_broken(rules[place * width :][:width])
            for place, answer in enumerate(answers_G)
        ]
        return Judgement(tuple(bouts), tuple(broken_G))

    def win_rates(self, task: RubricTask, answers_G: Sequence[str]) -> list[float | None]:
        """By all rubrics that fit."""
        return usual_win_rates(self, task, answers_G)

    def _both_orders(self, questions: Sequence[Messages]) -> list[Verdict]:
        """A verdict on every two questions, which are one with its sides changed."""
        if not questions:
            return []
        if self.reads == "text":
            letters = write_letters(self.engine, questions, max_tokens=self.max_tokens)
            return [settled(*both) for both in zip(letters[::2], letters[1::2], strict=True)]
        odds = read_odds(self.engine, questions)
        return [self._settled(*both) for both in zip(odds[::2], odds[1::2], strict=True)]

    def _settled(self, forth: Odds, back: Odds) -> Verdict:
        preference, is_flipped = settled(forth.letter(self.min_mass), back.letter(self.min_mass))
        if preference is None or self.orders == "agree":
            return preference, is_flipped
        # What the critic likes about a letter is in both and falls out.
        lean = (forth.a - forth.b) - (back.a - back.b)
        return ("first" if lean > 0 else "second" if lean < 0 else "tie"), is_flipped


def _is_broken(preference: Preference | None) -> Broken:
    """The letter for "breaks the rule" came first; a critic that flips has not shown it."""
    return None if preference is None else preference == "first"
