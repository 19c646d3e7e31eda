"""Trying an answer on a rubric while it is written: what each item finds in it, and the score.

Only rules decide here, at once. What needs a judge or an environment is said to be ungraded and
never counted as 0: until it is decided the score lies between two numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from apps.datasets import sentences
from kos.data.rubrics import Check, RubricItem, RubricTask
from kos.events import ItemGrade
from kos.grading import matches, patterns, rules
from kos.grading.matches import Match
from kos.grading.score import clip_unit, raw_score
from kos.grading.verify import verify

MAX_ANSWER_CHARS = 60_000
TOO_SLOW = "the pattern took too long; make it simpler"
BY_JUDGE = "a judge decides"
BY_WORK = "decided by what an agent does in its environment, not by an answer"


class Stretch(NamedTuple):
    """A part of the answer; ``keys`` are the items that found something in it."""

    text: str
    keys: tuple[str, ...] = ()
    is_fault: bool = False


@dataclass(frozen=True)
class ItemTried:
    """One item on the answer. ``met`` is None where it is ungraded, and ``note`` says why."""

    item: RubricItem
    met: bool | None
    note: str = ""
    sentence: str = ""
    found: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    matches: tuple[Match, ...] = field(default=(), repr=False)

    @property
    def earned(self) -> float | None:
        """Points it brings; None while nobody knows."""
        return None if self.met is None else self.item.points * self.met


@dataclass(frozen=True)
class Tried:
    """An answer on the whole rubric. Scores are HealthBench's: points over possible points."""

    items: tuple[ItemTried, ...]
    stretches: tuple[Stretch, ...]
    points: float
    possible: float
    score: float | None
    lowest: float | None
    highest: float | None
    verified: bool | None = None
    has_verifier: bool = False

    @property
    def num_ungraded(self) -> int:
        ungraded = sum(item.met is None for item in self.items)
        return ungraded + (self.has_verifier and self.verified is None)

    @property
    def num_met(self) -> int:
        return sum(item.met is True for item in self.items)


def try_answer(task: RubricTask, answer: str, *, grades: Sequence[ItemGrade] = ()) -> Tried:
    """Grade ``answer`` by the rules of ``task``; ``grades`` are a judge's, for the items it had."""
    answer = answer[:MAX_ANSWER_CHARS]
    judged = {grade.key: grade for grade in grades}
    aligned = matches.align(answer)
    regexes = {item.key: item.check.regex for item in task.rubric if item.check}
    wanted = {key: regex for key, regex in regexes.items() if regex}
    spans = dict(zip(wanted, patterns.search([*wanted.values()], aligned.text), strict=True))
    items = tuple(
        _try_item(item, answer, judged.get(item.key), spans.get(item.key), aligned)
        for item in task.rubric
    )
    verified = verify(task.verifier, answer) if task.verifier is not None else None
    return _summed(task, items, answer, verified)


def _summed(
    task: RubricTask, items: tuple[ItemTried, ...], answer: str, verified: bool | None
) -> Tried:
    known = [ItemGrade(one.item.key, "", one.item.points, one.met, "") for one in items]
    if task.verifier is not None:
        known.append(ItemGrade("verifier", "", 1, verified, "verifier"))
    possible = sum(grade.points for grade in known if grade.points > 0)
    points = sum(grade.points for grade in known if grade.met)
    unknown = [grade.points for grade in known if grade.met is None]
    worst = points + sum(value for value in unknown if value < 0)
    best = points + sum(value for value in unknown if value > 0)
    score = raw_score(known)
    return Tried(
        items=items,
        stretches=tuple(_stretches(answer, items)),
        points=points,
        possible=possible,
        score=None if score is None else clip_unit(score),
        lowest=clip_unit(worst / possible) if possible else None,
        highest=clip_unit(best / possible) if possible else None,
        verified=verified,
        has_verifier=task.verifier is not None,
    )


def _try_item(
    item: RubricItem,
    answer: str,
    judged: ItemGrade | None,
    spans: list[tuple[int, int]] | None,
    aligned: matches.Aligned,
) -> ItemTried:
    if item.check is None:
        if judged is not None:
            return ItemTried(item, judged.met, judged.note or judged.grader)
        return ItemTried(item, None, BY_WORK if item.checkpoint else BY_JUDGE)
    return _try_check(item, item.check, answer, spans, aligned)


def _try_check(
    item: RubricItem,
    check: Check,
    answer: str,
    spans: list[tuple[int, int]] | None,
    aligned: matches.Aligned,
) -> ItemTried:
    sentence = sentences.say(check)
    found = matches.find(check, answer)
    if check.regex:
        if spans is None:
            return ItemTried(item, None, patterns.problem_of(check.regex) or TOO_SLOW, sentence)
        found += [aligned.match(start, end, "regex") for start, end in spans if end > start]
    # The pattern was tried apart, where it could be stopped.
    met = rules.holds(check.model_copy(update={"regex": ""}), answer) and (
        not check.regex or bool(spans)
    )
    words = [answer[match.start : match.end] for match in found]
    lacking = () if met else tuple(matches.missing(check, answer))
    return ItemTried(item, met, "", sentence, tuple(dict.fromkeys(words)), lacking, tuple(found))


def _stretches(answer: str, items: Sequence[ItemTried]) -> list[Stretch]:
    """The answer cut where a match begins or ends, so that overlapping ones can be marked."""
    found = [(match, one.item) for one in items for match in one.matches]
    edges = sorted({0, len(answer), *(edge for match, _ in found for edge in _ends(match))})
    stretches = []
    for start, end in pairwise(edges):
        here = [(m, item) for m, item in found if m.start <= start and end <= m.end]
        keys = tuple(dict.fromkeys(item.key for _, item in here))
        is_fault = any(item.points < 0 or m.part == "none_of" for m, item in here)
        stretches.append(Stretch(answer[start:end], keys, is_fault))
    return stretches


def _ends(match: Match) -> tuple[int, int]:
    return match.start, match.end
