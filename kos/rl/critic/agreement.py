"""How far a critic agrees with what is known, and whether it may take the place of the old one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, NamedTuple

from kos.evals.statistics import Interval, bootstrap_interval, compare
from kos.rl.critic.judgement import Letter, settled

# Below this a t interval over prompts says nothing worth a promotion.
MIN_PROMPTS = 5


class Verdicts(NamedTuple):
    """What was said of one labelled pair: with the better answer as A, then as B."""

    prompt_id: str
    forth: Letter | None
    back: Letter | None


@dataclass(frozen=True)
class Agreement:
    """Agreement with the verifier.

    ``by_prompt`` is the share of right verdicts of each prompt, over both orders; ``rate`` their
    mean with the bootstrap interval over prompts. ``flips`` is the share of pairs that the order
    decided, ``said_a`` the share of verdicts for the letter A (0.5 is without position bias),
    ``unreadable`` the share without a verdict, which is not counted as wrong.
    """

    by_prompt: Mapping[str, float]
    rate: float | None
    low: float
    high: float
    flips: float
    said_a: float | None
    unreadable: float
    num_pairs: int

    def to_json(self) -> dict[str, Any]:
        """As checkpoints and artifacts keep it."""
        return asdict(self)

    def numbers(self) -> dict[str, float]:
        """What the charts show."""
        found = {"critic/flips": self.flips, "critic/unreadable": self.unreadable}
        if self.rate is not None and self.said_a is not None:
            found |= {
                "critic/agreement": self.rate,
                "critic/agreement_low": self.low,
                "critic/agreement_high": self.high,
                "critic/said_a": self.said_a,
            }
        return found


def measure(verdicts: Sequence[Verdicts], seed: int) -> Agreement:
    """The agreement over labelled pairs; the interval has the same draws for the same seed."""
    marks: dict[str, list[float]] = {}
    for one in verdicts:
        for said, right in ((one.forth, "a"), (one.back, "b")):
            if said is not None:
                marks.setdefault(one.prompt_id, []).append(float(said == right))
    by_prompt = {name: fmean(found) for name, found in marks.items()}
    letters = [letter for one in verdicts for letter in (one.forth, one.back)]
    known = [letter for letter in letters if letter is not None]
    rates = [*by_prompt.values()]
    interval = bootstrap_interval(rates, seed) if rates else Interval(0.0, 1.0)
    return Agreement(
        by_prompt=by_prompt,
        rate=fmean(rates) if rates else None,
        low=interval.low,
        high=interval.high,
        flips=fmean(settled(one.forth, one.back)[1] for one in verdicts) if verdicts else 0.0,
        said_a=fmean(letter == "a" for letter in known) if known else None,
        unreadable=1 - len(known) / len(letters) if letters else 0.0,
        num_pairs=len(verdicts),
    )


class Promotion(NamedTuple):
    """Whether the refined critic may be used, and why in a sentence."""

    promoted: bool
    why: str


def decide(
    before: Agreement,
    after: Agreement,
    *,
    kept_before: Mapping[str, float],
    kept_after: Mapping[str, float],
    seed: int,
) -> Promotion:
    """Promote when the agreement rose beyond its interval and no mandatory rubric got worse.

    Prompts are compared with themselves; the interval is the 95 % t interval of their changes.
    ``kept_...`` is the share of probes in which each mandatory rubric decided rightly.
    """
    worse = [key for key in kept_before if kept_after[key] < kept_before[key]]
    found = compare(after.by_prompt, before.by_prompt, seed)
    if found is None or before.rate is None or after.rate is None:
        return Promotion(False, "Refused: no held-out pair had a verdict before and after.")
    change = (
        f"from {100 * before.rate:.1f} % to {100 * after.rate:.1f} % on {found.delta.n} held-out "
        f"prompts (change {100 * found.delta.mean:+.1f}, 95 % interval "
        f"{100 * found.delta.low:+.1f} to {100 * found.delta.high:+.1f})"
    )
    if found.delta.n < MIN_PROMPTS:
        return Promotion(
            False,
            f"Refused: the agreement went {change}, and fewer than {MIN_PROMPTS} prompts are too "
            "few to tell.",
        )
    if found.delta.low <= 0:
        return Promotion(
            False, f"Refused: the agreement went {change}, which does not lie above no change."
        )
    if worse:
        return Promotion(
            False,
            f"Refused: the agreement rose {change}, but the critic got worse at the mandatory "
            f"rubric {worse[0]}, right on {100 * kept_before[worse[0]]:.0f} % of its probes before "
            f"and {100 * kept_after[worse[0]]:.0f} % after.",
        )
    return Promotion(
        True, f"Promoted: the agreement rose {change}, and no mandatory rubric got worse."
    )
