"""Grades whose explanation says the opposite of the verdict: worth a person's second look.

Negative items are often phrased as an absence ("Fails to ask about allergies"). Judges mix up
whether the absence or the act is what they are to confirm. Source of the first rule: among such
items marked met, 9.8 % of one small judge's explanations and 1.0 % of GPT-4.1's hold no
negation at all, that is, they say the thing was done.
"""

from __future__ import annotations

import re
from typing import Literal

from kos.events import ItemGrade

Contradiction = Literal["", "says_done", "says_missing", "says_otherwise"]

_ABSENCE = re.compile(
    r"^\W*(?:the (?:response|answer|model|assistant)\s+)?"
    r"(?:fail(?:s|ed)? to|do(?:es)? not|did not|doesn't|didn't|omits?|neglects? to|never|lacks?)\b",
    re.IGNORECASE,
)
_NEGATION = re.compile(
    r"\b(?:not|no|never|none|nothing|neither|nor|without|cannot|fail(?:s|ed|ing|ure)?|"
    r"lack(?:s|ed|ing)?|omit(?:s|ted|ting)?|omission|miss(?:es|ed|ing)?|absen(?:t|ce)|"
    r"neglect(?:s|ed|ing)?|overlook(?:s|ed|ing)?|ignor(?:es|ed|ing)|instead|rather than|"
    r"insufficient(?:ly)?|inadequate(?:ly)?|incomplete(?:ly)?)\b|n['’]t\b",  # noqa: RUF001
    re.IGNORECASE,
)
# "does not mention", but not "does not fail to mention".
_MISSING = re.compile(
    r"\b(?:(?:do(?:es)? not|did not|doesn['’]t|didn['’]t)"  # noqa: RUF001
    r"(?! (?:fail|omit|neglect|miss|lack|overlook))|fail(?:s|ed) to|omits|never)\b",
    re.IGNORECASE,
)
_SAYS_MET = re.compile(
    r"\b(?:criterion|criteria|item) (?:is|are|was) (?:therefore |thus )?met\b", re.I
)
_SAYS_UNMET = re.compile(
    r"\b(?:criterion|criteria|item) (?:is|are|was) (?:therefore |thus )?(?:not|un)[ -]?met\b", re.I
)


def contradiction(grade: ItemGrade) -> Contradiction:
    """How the grade's explanation contradicts its verdict; "" when it does not, or has none.

    ``says_done``: an absence is confirmed by words without any negation.
    ``says_missing``: an absence is denied, yet the explanation's first sentence states one.
    ``says_otherwise``: the explanation spells out the other verdict.
    """
    if grade.met is None or not grade.note.strip():
        return ""
    if (_SAYS_UNMET if grade.met else _SAYS_MET).search(grade.note):
        return "says_otherwise"
    if grade.points < 0 and is_absence(grade.text):
        if grade.met and not _NEGATION.search(grade.note):
            return "says_done"
        if not grade.met and _MISSING.search(_first_sentence(grade.note)):
            return "says_missing"
    return ""


def is_absence(text: str) -> bool:
    """Whether a criterion is phrased as something left undone ("Fails to ...")."""
    return _ABSENCE.match(text) is not None


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.!?;])\s", text.strip(), maxsplit=1)[0]
