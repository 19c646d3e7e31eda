"""Abbreviations in an answer, and those that nobody knows.

A word counts as one when it has (A) two capitals or more and at most 12 characters (CKD, HFrEF),
(B) one capital within it and at most 10 (hyperK, mL), (C) is a single capital letter but I and A,
(D) a capital and digits, at most 6 (B12), or, counted apart, (E) is clinical shorthand (q8h, PO).
Measured with these rules: 15 of 1,000 words in lay texts, 98 in guideline digests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

WORD = re.compile(r"[A-Za-z0-9µ][A-Za-z0-9µ/%²³.\-+]*")
URL = re.compile(r"https?://\S+")
CITATION = re.compile(r"\[S\d+\]")
MARKS = re.compile(r"[*_`#>|~]+")
# Stages and numbers, registry numbers, and words with at most one capital at their beginning.
ORDINARY = re.compile(r"(?:[IVX]{1,4}|\d{1,4})[A-C]?|NCT\d{8}|[A-Za-z]?[a-zµ]+|\d+")
SENTENCE_END = re.compile(r"(?:^|[.!?:]\s+|\n\s*(?:[-*\d.)]+\s*)?)$")
SHORTHAND = frozenset(
    [
        "q4h",
        "q6h",
        "q8h",
        "q12h",
        "qd",
        "bid",
        "tid",
        "qid",
        "prn",
        "po",
        "iv",
        "im",
        "sc",
        "sl",
        "pr",
        "npo",
        "s/p",
        "w/o",
        "w/",
        "c/o",
        "y/o",
        "yo",
        "pt",
        "pts",
        "hx",
        "dx",
        "tx",
        "rx",
        "sx",
        "fx",
        "h/o",
        "r/o",
        "f/u",
        "abx",
        "htn",
        "dm",
        "cad",
        "copd",
        "sob",
        "cp",
        "n/v/d",
        "n/v",
        "wnl",
        "nkda",
        "adr",
        "gtt",
        "bolus",
        "stat",
        "qhs",
        "qam",
        "qpm",
        "a/w",
        "d/c",
        "m/g/r",
        "ntnd",
        "aox3",
        "a&ox3",
        "k/c/o",
        "kco",
        "cw",
        "d/w",
        "e/o",
        "i/s/o",
    ]
)


@dataclass(frozen=True)
class Counted:
    """How many words a text has, and how many of them are abbreviations.

    ``strict`` counts A to D, ``loose`` A to E. ``invented`` are those that are not known, not
    spelt out in the text, and not in what the model was given to read.
    """

    words: int
    strict: int
    loose: int
    invented: tuple[str, ...]


def count(answer: str, given: str = "") -> Counted:
    """Count in the visible ``answer``; ``given`` is all the model had read: prompt and results."""
    text = _plain(answer)
    words = [(found.group().rstrip(".-/+"), found.start()) for found in WORD.finditer(text)]
    words = [(word, start) for word, start in words if word]
    strict = [word for word, start in words if _is_abbreviation(word, text[:start])]
    shorthand = [word for word, _ in words if word.lower() in SHORTHAND]
    loose = len(strict) + sum(word not in strict for word in shorthand)
    return Counted(len(words), len(strict), loose, tuple(_invented(strict, text, given)))


def _plain(answer: str) -> str:
    """Without addresses, source numbers, Markdown's marks and headings in capitals."""
    text = MARKS.sub(" ", CITATION.sub(" ", URL.sub(" ", answer)))
    return "\n".join(line for line in text.splitlines() if not _is_shouted(line))


def _is_shouted(line: str) -> bool:
    letters = [letter for letter in line if letter.isalpha()]
    return len(line.split()) > 1 and len(letters) > 3 and all(one.isupper() for one in letters)


def _is_abbreviation(word: str, before: str) -> bool:
    capitals = sum(letter.isupper() for letter in word)
    if len(word) == 1:
        return capitals == 1 and word not in "IA" and not SENTENCE_END.search(before[-8:])
    if capitals >= 2:
        return len(word) <= 12
    if capitals == 1 and any(letter.isdigit() for letter in word):
        return len(word) <= 6
    return capitals == 1 and not word[0].isupper() and len(word) <= 10


def _invented(words: Iterable[str], text: str, given: str) -> list[str]:
    """Of the words of two letters or more those that come from nowhere, each once."""
    seen = dict.fromkeys(word for word in words if len(word) > 1)
    read = {found.group().rstrip(".-/+") for found in WORD.finditer(given)}
    return [
        word
        for word in seen
        if not _is_known(word) and word not in read and not is_expanded(word, text)
    ]


def is_expanded(short: str, text: str) -> bool:
    """Whether the text spells it out: "long form (ABC)" or "ABC (long form)".

    The long form's words hold the letters in their order, the first one at a word's beginning
    (Schwartz and Hearst, PSB 2003).
    """
    letters = [letter.lower() for letter in short if letter.isalnum()]
    after = re.search(rf"(?<!\w){re.escape(short)}\s*\(([^)]+)\)", text)
    if after and _spells(letters, after.group(1)):
        return True
    before = re.search(rf"([^().;\n]{{3,120}})\(\s*{re.escape(short)}(?:s)?\s*[;,)]", text)
    if before is None:
        return False
    words = before.group(1).split()[-2 * len(letters) - 2 :]
    return any(_spells(letters, " ".join(words[start:])) for start in range(len(words)))


def _spells(letters: list[str], long: str) -> bool:
    long = long.lower().strip()
    if not letters or not long.startswith(letters[0]):
        return False
    place = -1
    for letter in letters:
        place = long.find(letter, place + 1)
        if place < 0:
            return False
    return True


def _is_known(word: str) -> bool:
    bare = word[:-1] if word.endswith("s") and len(word) > 3 else word
    return bare in known() or all(map(_is_ordinary, re.split(r"[/\-+.]", bare)))


def _is_ordinary(part: str) -> bool:
    """Whether a part of a compound says nothing by itself, or is known."""
    return len(part) <= 1 or part in known() or ORDINARY.fullmatch(part) is not None


@cache
def known() -> frozenset[str]:
    """Abbreviations that clinicians read without asking: conditions, tests, drugs, units."""
    tables = (
        resources.files("kos.tools.corpus") / "data" / "abbreviations.tsv",
        resources.files("kos.evals.detectors") / "known.txt",
    )
    lines = [line for table in tables for line in table.read_text(encoding="utf-8").splitlines()]
    entries = (line.split("\t")[0] for line in lines if line and not line.startswith("#"))
    return frozenset(word for entry in entries for word in entry.split())
