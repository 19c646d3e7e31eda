"""Term coverage: what can be said of a judge's item where no judge is configured.

Measured against GPT-4.1's grades it reaches a balanced accuracy of 0.66 on positive items and
less than chance on negative ones, so it grades positive items only, and every number built on
it is stamped "screening, not a score".
"""

from __future__ import annotations

import re

COVERAGE = 0.5
WORD = re.compile(r"[a-z0-9][a-z0-9'-]+")
STOP_WORDS = """
a about after all also an and any are as at be been before being but by can could did do does
each either etc ex for from further given had has have he her his how i if in including into is
it its least like made make may me might more most must no not of on or other our out over per
provide provides recommend recommends response s should so some states such than that the their
them then there these they this those to too up use user using was we were what when where
whether which while who why will with would you your advises mentions
"""
STOP = frozenset(STOP_WORDS.split())


def covers(criterion: str, answer: str) -> bool:
    """Whether half of the criterion's content words, by stem, occur in the answer."""
    wanted = _stems(criterion)
    return bool(wanted) and len(wanted & _stems(answer)) / len(wanted) >= COVERAGE


def _stems(text: str) -> set[str]:
    return {_stem(word) for word in WORD.findall(text.lower()) if word not in STOP}


def _stem(word: str) -> str:
    for ending in ("ing", "edly", "ies", "ed", "es", "s"):
        if word.endswith(ending) and len(word) > len(ending) + 3:
            return word[: -len(ending)]
    return word
