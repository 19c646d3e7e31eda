"""What in a text may tell who a patient is: names, birth dates, numbers, ways to reach them.

A reader is warned before such a text is sent. The rules are plain patterns, with the checksum
where a number has one; they miss names without a title, so the warning is a help and no proof.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["name", "birth_date", "record", "nhs", "ssn", "phone", "email", "address"]

LABELS: dict[Kind, str] = {
    "name": "a person's name",
    "birth_date": "a date of birth",
    "record": "a patient or record number",
    "nhs": "an NHS number",
    "ssn": "a US social security number",
    "phone": "a phone number",
    "email": "an e-mail address",
    "address": "a postal address",
}


@dataclass(frozen=True)
class Identifier:
    """A piece of a text, ``text[start:end]``, and what it looks like."""

    kind: Kind
    text: str
    start: int
    end: int

    @property
    def label(self) -> str:
        """What it looks like, in words."""
        return LABELS[self.kind]


class Rule(NamedTuple):
    """A pattern, whose group ``it`` is the identifier, and a test of what it found."""

    kind: Kind
    pattern: re.Pattern[str]
    holds: Callable[[str], bool] = lambda found: True


def find(text: str) -> list[Identifier]:
    """All identifiers in ``text``, in order, none of them overlapping."""
    # Digits of a web address are no phone number; its length keeps the other places right.
    searched = _URL.sub(lambda match: " " * len(match[0]), text)
    found: list[Identifier] = []
    for one in _all(searched):
        if all(one.end <= other.start or one.start >= other.end for other in found):
            found.append(one)
    return sorted(found, key=lambda one: one.start)


def is_nhs_number(text: str) -> bool:
    """Whether ten digits carry the right check digit (NHS Data Dictionary: modulus 11)."""
    digits = [int(char) for char in text if char.isdigit()]
    if len(digits) != 10 or len(set(digits)) == 1:
        return False
    weighted = sum(digit * weight for digit, weight in zip(digits, range(10, 1, -1), strict=False))
    return (11 - weighted % 11) % 11 == digits[9]


def _all(text: str) -> Iterator[Identifier]:
    # The surest rule first: of two that claim the same characters it wins.
    for rule in _RULES:
        for match in rule.pattern.finditer(text):
            if rule.holds(match["it"]):
                yield Identifier(rule.kind, match["it"], *match.span("it"))


def _is_person(text: str) -> bool:
    """Not "named Crohn Disease": many conditions are called after somebody."""
    return not _EPONYM.search(text)


def _is_phone(text: str) -> bool:
    return 7 <= sum(char.isdigit() for char in text) <= 15


_URL = re.compile(r"https?://\S+|\b10\.\d{4,9}/\S+")
_EPONYM = re.compile(
    r"\b(?:Disease|Syndrome|Sign|Test|Score|Criteria|Palsy|Fracture|Reflex|Tumou?r|Classification"
    r"|Scale|Index|Rule|Trial|Study)\b"
)
_WORD = r"[A-Z\u00c0-\u00de][a-z\u00e0-\u00ff]+(?:['\u2019-][A-Z][a-z]+)?"
_NAME = rf"(?:{_WORD}|O['\u2019]{_WORD}|Mc{_WORD})"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?"
_DATE = (
    r"(?:\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2})|\d{4}-\d{2}-\d{2}"
    rf"|\d{{1,2}}(?:st|nd|rd|th)?\s+{_MONTH},?\s+\d{{4}}|{_MONTH}\s+\d{{1,2}},?\s+\d{{4}})"
)
_STATES = (
    "AL|AK|AZ|AR|CA|CO|CT|DC|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH"
    "|NJ|NM|NY|NC|ND|OH|OK|OR|PA|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY"
)
_STREETS = (
    "Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Close|Court|Ct|Way|Place|Pl|Boulevard|Blvd"
    "|Crescent|Terrace|Gardens|Square"
)

_RULES = (
    Rule("email", re.compile(r"(?P<it>[\w.+-]+@[A-Za-z\d-]+(?:\.[A-Za-z\d-]+)+)")),
    Rule(
        "birth_date",
        re.compile(
            r"(?i:\b(?:DOB|D\.O\.B\.?|date\s+of\s+birth|birth\s?date|birthday|born)\b)"
            rf"[\s:=(]*(?i:(?:is|on|in)\s+)?(?P<it>(?i:{_DATE}))"
        ),
    ),
    Rule(
        "nhs",
        re.compile(r"(?<![\d-])(?P<it>\d{3}[ -]?\d{3}[ -]?\d{4})(?![\d-])"),
        is_nhs_number,
    ),
    # Never given out: area 000, 666 and 900 to 999, group 00, serial 0000.
    Rule(
        "ssn",
        re.compile(r"(?<![\d-])(?P<it>(?!000|666|9\d\d)\d{3}-(?!00)\d\d-(?!0000)\d{4})(?![\d-])"),
    ),
    Rule(
        "ssn",
        re.compile(
            r"(?i:\b(?:SSN|social\s+security(?:\s+(?:number|no\.?))?))[\s:#=]*(?i:is\s+)?"
            r"(?P<it>(?!000|666|9\d\d)\d{3}[ -]?(?!00)\d{2}[ -]?(?!0000)\d{4})\b"
        ),
    ),
    Rule(
        "record",
        re.compile(
            r"(?i:\b(?:MRN|medical\s+record|hospital|patient|chart|case|NHS|CHI|insurance|Medicare)"
            r"(?:\s*(?:number|no\.?|num|id|identifier|\#))*)[\s:#=]*(?i:is\s+)?"
            r"(?P<it>(?=[A-Z\d-]*\d{5})[A-Z]{0,4}-?\d[\d-]{4,13}[A-Z]?)(?![\w/])"
        ),
    ),
    Rule(
        "phone",
        re.compile(r"(?<![\w/.+-])(?P<it>\+\d{1,3}[\s().-]{0,2}\d(?:[\s().-]{0,2}\d){6,12})\b"),
        _is_phone,
    ),
    Rule(
        "phone",
        re.compile(
            r"(?<![\w/.-])(?P<it>\(\d{3}\)\s?\d{3}[-.\s]\d{4}|\d{3}[-.]\d{3}[-.]\d{4}"
            r"|0\d{2,4}[\s-]\d{3,4}[\s-]?\d{3,4}|07\d{9})(?![\w-])"
        ),
        _is_phone,
    ),
    Rule(
        "phone",
        re.compile(
            r"(?i:\b(?:phone|telephone|tel|mobile|cell)\b\.?)[\s:#]*(?i:(?:number|no\.?|is)\s+){0,2}"
            r"(?P<it>\d(?:[\s().-]{0,2}\d){6,12})\b"
        ),
        _is_phone,
    ),
    Rule(
        "name",
        re.compile(
            rf"\b(?:Mr|Mrs|Ms|Miss|Mx|Mister)\b\.?\s+(?P<it>(?:[A-Z]\.?\s+)?{_NAME}(?:\s+{_NAME})?)"
        ),
        _is_person,
    ),
    Rule(
        "name",
        re.compile(
            r"(?i:\b(?:name\s+is|name\s*[:=]|named|called|patient\s*[:=]|pt\s*[:=]))\s*"
            rf"(?P<it>{_NAME}(?:\s+[A-Z]\.?)?(?:,)?\s+{_NAME})"
        ),
        _is_person,
    ),
    Rule(
        "address",
        re.compile(
            rf"(?P<it>\b\d{{1,5}}[A-Za-z]?,?\s+(?:[A-Z][\w'-]+\s+){{1,3}}(?:{_STREETS})\b)"
        ),
    ),
    # The last two letters of a British postcode are none of C, I, K, M, O, V: "B12 5MG" is none.
    Rule(
        "address",
        re.compile(r"\b(?P<it>[A-Z]{1,2}\d[A-Z\d]?\s\d[ABD-HJLNP-UW-Z]{2})\b"),
    ),
    Rule("address", re.compile(rf"(?P<it>,\s*(?:{_STATES})\s+\d{{5}}(?:-\d{{4}})?)\b")),
)
