"""Which passages of a text answer a query best: BM25 over its sentences and paragraphs."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

# Robertson's usual constants.
K1 = 1.2
B = 0.75
# A passage longer than this is cut at a word: a table row or minified text has no sentences.
MAX_PASSAGE_CHARS = 600

_BREAK = re.compile(r"(?<=[.!?;:])[ \t]+(?=[\"'(\[]?[A-Z0-9])|\n+")
_WORD = re.compile(r"[^\W_]+")


def passages(text: str) -> list[str]:
    """``text`` in order, in sentences and lines with the white space that follows them; joined
    they are ``text`` again.
    """
    cuts = [match.end() for match in _BREAK.finditer(text)]
    pieces = [
        text[start:end]
        for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)
        if end > start
    ]
    return [part for piece in pieces for part in _short(piece)]


def terms(text: str) -> list[str]:
    """The words of ``text`` as they are compared: lower case, plural s off."""
    return [_stem(word) for word in _WORD.findall(text.lower())]


def scores(query: str, texts: Sequence[str]) -> list[float]:
    """How well each of ``texts`` answers ``query``; 0 shares no word with it."""
    wanted = set(terms(query))
    words = [terms(text) for text in texts]
    average = sum(map(len, words)) / len(words) if words else 0.0
    having = Counter(word for found in words for word in wanted.intersection(found))
    rarity = {
        word: math.log(1 + (len(texts) - number + 0.5) / (number + 0.5))
        for word, number in having.items()
    }
    return [_score(found, rarity, average) for found in words]


def _score(found: Sequence[str], rarity: dict[str, float], average: float) -> float:
    counts = Counter(found)
    length = K1 * (1 - B + B * len(found) / average) if average else K1
    return sum(
        weight * counts[word] * (K1 + 1) / (counts[word] + length)
        for word, weight in rarity.items()
        if counts[word]
    )


def _short(piece: str) -> list[str]:
    parts = []
    while len(piece) > MAX_PASSAGE_CHARS:
        cut = piece.rfind(" ", 1, MAX_PASSAGE_CHARS) + 1 or MAX_PASSAGE_CHARS
        parts.append(piece[:cut])
        piece = piece[cut:]
    return [*parts, piece] if piece else parts


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
