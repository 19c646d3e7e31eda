"""What a critic found out about a group, and what each answer is worth by it.

Shapes: ``G`` answers to one prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, NamedTuple

from kos.grading.pairwise import Preference
from kos.rl.critic import bradley_terry

Letter = Literal["a", "b"]
Method = Literal["win_rate", "bradley_terry"]


class Bout(NamedTuple):
    """Answers ``first`` and ``second`` compared in both orders.

    ``preference`` is None when a verdict could not be read; where the order decided
    (``is_flipped``) it is a tie.
    """

    first: int
    second: int
    preference: Preference | None
    is_flipped: bool = False


@dataclass(frozen=True)
class Judgement:
    """All bouts of a group, and which answers broke a mandatory rubric.

    ``broken_G`` is None where that could not be read.
    """

    bouts: tuple[Bout, ...]
    broken_G: tuple[bool | None, ...]

    def values(self, method: Method, *, prior: float = 0.5) -> list[float | None]:
        """What each answer is worth, in [0, 1]; None for one without a verdict.

        An answer that broke a mandatory rubric is worth the group's minimum, whoever it beat.
        """
        rates_G = self.win_rates() if method == "win_rate" else self.expected(prior)
        known = [rate for rate in rates_G if rate is not None]
        lowest = min(known, default=None)
        return [
            None if broken is None or rate is None else lowest if broken else rate
            for rate, broken in zip(rates_G, self.broken_G, strict=True)
        ]

    def win_rates(self) -> list[float | None]:
        """(wins + ties / 2) / bouts that were decided; None for an answer without such a bout."""
        wins_GG, bouts_G = self._wins(), self._num_bouts()
        return [sum(row) / n if n else None for row, n in zip(wins_GG, bouts_G, strict=True)]

    def expected(self, prior: float) -> list[float | None]:
        """The same rate as the Bradley-Terry model has it, which weighs who was beaten."""
        bouts_G = self._num_bouts()
        if len(bouts_G) < 2:
            return [None] * len(bouts_G)
        rates_G = bradley_terry.expected_win_rates(
            bradley_terry.strengths(self._wins(), prior=prior)
        )
        return [rate if n else None for rate, n in zip(rates_G, bouts_G, strict=True)]

    def _wins(self) -> list[list[float]]:
        count = len(self.broken_G)
        wins_GG = [[0.0] * count for _ in range(count)]
        for bout in self._decided():
            share = {"first": 1.0, "tie": 0.5, "second": 0.0}[bout.preference or "tie"]
            wins_GG[bout.first][bout.second] += share
            wins_GG[bout.second][bout.first] += 1 - share
        return wins_GG

    def _num_bouts(self) -> list[int]:
        decided = self._decided()
        return [
            sum(place in (bout.first, bout.second) for bout in decided)
            for place in range(len(self.broken_G))
        ]

    def _decided(self) -> list[Bout]:
        return [bout for bout in self.bouts if bout.preference is not None]

    def tally(self) -> dict[str, int]:
        """Counts of bouts and answers, which add up over groups (``shares``)."""
        return {
            "bouts": len(self.bouts),
            "flips": sum(bout.is_flipped for bout in self.bouts),
            "ties": sum(bout.preference == "tie" for bout in self.bouts),
            "unreadable": len(self.bouts) - len(self._decided()),
            "answers": len(self.broken_G),
            "broken": sum(broken is True for broken in self.broken_G),
        }


def pairs_of(num_answers: int) -> list[tuple[int, int]]:
    """All G (G - 1) / 2 pairs."""
    return list(combinations(range(num_answers), 2))


def settled(forth: Letter | None, back: Letter | None) -> tuple[Preference | None, bool]:
    """Two verdicts as one: ``forth`` had the first answer as A, ``back`` had it as B.

    Returns the preference and whether the order flipped it. Contradicting verdicts are a tie
    (Zheng et al., arXiv:2306.05685, sec. 3.4).
    """
    if forth is None or back is None:
        return None, False
    if forth == back:
        return "tie", True
    return ("first" if forth == "a" else "second"), False


def shares(tallies: Sequence[dict[str, int]]) -> dict[str, float]:
    """What the charts show: flips, ties and unreadable verdicts by bout, violations by answer."""
    total = {name: sum(one[name] for one in tallies) for name in tallies[0]} if tallies else {}
    bouts, answers = total.get("bouts", 0), total.get("answers", 0)
    found = {
        f"critic/{name}": total[name] / bouts for name in ("flips", "ties", "unreadable") if bouts
    }
    return found | ({"critic/broken": total["broken"] / answers} if answers else {})
