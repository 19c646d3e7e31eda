"""Two traces side by side: what their answers share word by word, and which searches each made."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from apps.traces.models import Trace
from apps.traces.reading import Call

# Beyond this a word by word comparison takes seconds; longer answers are compared by lines.
MAX_WORDS = 4000


class Part(NamedTuple):
    """Some text of one answer; ``is_shared`` when the other says it too, at the same place."""

    text: str
    is_shared: bool


class Pair(NamedTuple):
    """Two calls that belong together, or one without a partner."""

    left: Call | None
    right: Call | None

    @property
    def is_same(self) -> bool:
        """The same tool was asked the same."""
        return self.left is not None and self.right is not None and self.left.key == self.right.key


class Difference(NamedTuple):
    """Two answers in parts, and how alike they are (0 to 1: twice the shared over all words)."""

    left: list[Part]
    right: list[Part]
    likeness: float


def difference(left: str, right: str) -> Difference:
    """Compare two texts word by word, white space kept."""
    first, second = _cut(left), _cut(right)
    if max(len(first), len(second)) > MAX_WORDS:
        first, second = left.splitlines(keepends=True), right.splitlines(keepends=True)
    matcher = SequenceMatcher(None, first, second, autojunk=False)
    lefts: list[Part] = []
    rights: list[Part] = []
    for tag, start, end, other_start, other_end in matcher.get_opcodes():
        is_shared = tag == "equal"
        if end > start:
            lefts.append(Part("".join(first[start:end]), is_shared))
        if other_end > other_start:
            rights.append(Part("".join(second[other_start:other_end]), is_shared))
    return Difference(lefts, rights, matcher.ratio())


def pairs(left: Sequence[Call], right: Sequence[Call]) -> list[Pair]:
    """Calls of two traces aligned: equal ones first, then those of the same tool, in order."""
    matcher = SequenceMatcher(
        None, [call.key for call in left], [call.key for call in right], autojunk=False
    )
    found: list[Pair] = []
    for tag, start, end, other_start, other_end in matcher.get_opcodes():
        some, others = left[start:end], right[other_start:other_end]
        if tag == "equal":
            found += [Pair(one, other) for one, other in zip(some, others, strict=True)]
        else:
            found += _by_tool(list(some), list(others))
    return found


def numbers(left: Trace, right: Trace) -> list[tuple[str, Any, Any]]:
    """What can be counted of both, for one table."""
    return [
        ("Score", left.score, right.score),
        ("Reward", left.reward, right.reward),
        ("Tool calls", len(left.tools), len(right.tools)),
        ("Sources", len(left.sources), len(right.sources)),
        ("Turns", len(left.turns) or None, len(right.turns) or None),
        ("Tokens", left.num_tokens, right.num_tokens),
        ("Answer tokens", left.num_answer_tokens, right.num_answer_tokens),
        ("Seconds", left.seconds, right.seconds),
    ]


def versions(left: Trace, right: Trace) -> list[tuple[str, str, str]]:
    """Names of what stood behind the two, where they differ."""
    names = sorted({*left.versions, *right.versions})
    rows = [(name, _text(left.versions, name), _text(right.versions, name)) for name in names]
    return [row for row in rows if row[1] != row[2]]


def _by_tool(left: list[Call], right: list[Call]) -> list[Pair]:
    found = []
    for call in left:
        partner = next((other for other in right if other.name == call.name), None)
        if partner is not None:
            right.remove(partner)
        found.append(Pair(call, partner))
    return found + [Pair(None, call) for call in right]


def _cut(text: str) -> list[str]:
    return re.findall(r"\S+\s*|\s+", text)


def _text(versions: Mapping[str, Any], name: str) -> str:
    return str(versions.get(name, ""))
