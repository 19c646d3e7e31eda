"""What in an answer a check stands on: the places of its phrases, its number, its pattern.

``kos.grading.rules`` decides; this says why, for a person who writes the rubric. Places are
characters of the answer as it was given, although rules read it with plain quotes and blanks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from kos.data.rubrics import Check, NumberRange
from kos.grading import rules

# Of one phrase: an answer that says it more often is marked well enough.
MOST_MATCHES = 50
Part = Literal["any_of", "all_of", "none_of", "regex", "number", "question"]


@dataclass(frozen=True)
class Match:
    """A stretch ``[start, end)`` of the answer that a part of a check found."""

    start: int
    end: int
    part: Part
    phrase: str = ""


@dataclass(frozen=True)
class Aligned:
    """A text as rules read it, with the place in the original of each of its characters."""

    text: str
    places: tuple[int, ...]

    def match(self, start: int, end: int, part: Part, phrase: str = "") -> Match:
        """A stretch of the plain text as one of the original."""
        return Match(self.places[start], self.places[end - 1] + 1, part, phrase)


def align(answer: str) -> Aligned:
    """``rules.plain`` of the answer, and where each of its characters stood."""
    kept: list[str] = []
    places: list[int] = []
    for place, char in enumerate(answer.translate(rules.PLAIN)):
        if not char.isspace():
            kept.append(char)
            places.append(place)
        elif kept and kept[-1] != " ":
            kept.append(" ")
            places.append(place)
    if kept and kept[-1] == " ":
        kept.pop()
        places.pop()
    return Aligned("".join(kept), tuple(places))


def find(check: Check, answer: str) -> list[Match]:
    """Every place that a phrase or number of ``check`` found, in order.

    Its pattern is left out: who looks for a stranger's pattern bounds the time
    (``kos.grading.patterns``).
    """
    aligned = align(answer)
    found = [
        match
        for part, phrases in _phrases(check)
        for phrase in phrases
        for match in _occurrences(aligned, part, phrase)
    ]
    if check.number is not None:
        found += _numbers(aligned, check.number)
    if check.asks_question:
        found += [
            aligned.match(place, place + 1, "question")
            for place in islice(_questions(aligned.text), MOST_MATCHES)
        ]
    return sorted(found, key=lambda match: (match.start, match.end))


def missing(check: Check, answer: str) -> list[str]:
    """Phrases that had to occur and do not: all of ``any_of`` where none does."""
    text = rules.plain(answer)
    lacking = [phrase for phrase in check.all_of if not rules.occurs(phrase, text)]
    if check.any_of and not any(rules.occurs(phrase, text) for phrase in check.any_of):
        lacking += check.any_of
    return lacking


def _phrases(check: Check) -> Iterator[tuple[Part, Sequence[str]]]:
    yield "any_of", check.any_of
    yield "all_of", check.all_of
    yield "none_of", check.none_of


def _occurrences(aligned: Aligned, part: Part, phrase: str) -> Iterator[Match]:
    for found in islice(rules.pattern_of(phrase).finditer(aligned.text), MOST_MATCHES):
        if found.end() > found.start():
            yield aligned.match(found.start(), found.end(), part, phrase)


def _questions(text: str) -> Iterator[int]:
    return (place for place, char in enumerate(text) if char == "?")


def _numbers(aligned: Aligned, wanted: NumberRange) -> Iterator[Match]:
    for start, end in islice(rules.stated_numbers(wanted, aligned.text), MOST_MATCHES):
        yield aligned.match(start, end, "number")
