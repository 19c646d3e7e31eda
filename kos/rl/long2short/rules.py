"""Which of a prompt's answers is kept, and what it is preferred to.

Source: Kimi k1.5 (arXiv:2501.12599), sec. 2.4 (shortest rejection sampling; DPO).
"""

from __future__ import annotations

from collections.abc import Sequence

from kos.data.answers import GradedAnswer, PreferencePair

LONGER = 1.5


def is_correct(answer: GradedAnswer, threshold: float) -> bool:
    """Whether its score reaches ``threshold``; an ungraded answer is not known to be correct."""
    return answer.score is not None and answer.score >= threshold


def shortest_correct(answers: Sequence[GradedAnswer], threshold: float) -> GradedAnswer | None:
    """The correct answer of the fewest tokens, the first of equals; None when none is correct."""
    correct = [answer for answer in answers if is_correct(answer, threshold)]
    return min(correct, key=lambda answer: answer.num_tokens, default=None)


def pairs(
    answers: Sequence[GradedAnswer], threshold: float, *, longer: float = LONGER
) -> list[PreferencePair]:
    """The shortest correct answer against each wrong one that is longer, and against each
    correct one at least ``longer`` times as long. An ungraded answer is neither.
    """
    best = shortest_correct(answers, threshold)
    if best is None:
        return []
    found = []
    for answer in answers:
        is_right = is_correct(answer, threshold)
        is_long = answer.num_tokens >= longer * best.num_tokens
        is_wrong = answer.score is not None and not is_right
        if answer is not best and (
            (is_right and is_long) or (is_wrong and answer.num_tokens > best.num_tokens)
        ):
            found.append(_pair(best, answer, is_right=is_right))
    return found


def _pair(best: GradedAnswer, worse: GradedAnswer, *, is_right: bool) -> PreferencePair:
    return PreferencePair(
        id=best.id,
        messages=best.messages,
        chosen=best.answer,
        rejected=worse.answer,
        why="long" if is_right else "wrong",
        chosen_tokens=best.num_tokens,
        rejected_tokens=worse.num_tokens,
        is_rejected_cut=worse.is_cut,
    )
