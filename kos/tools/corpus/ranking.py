"""Which of the documents that match are wanted most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from kos.tools.corpus.query import STOPWORDS, Term, words_of
from kos.tools.corpus.shelf import Hit
from kos.tools.corpus.store import Collection

CLASSIFICATIONS = frozenset({"icd10cm", "icd11"})
# Where an import of such a kind stands, what was embedded of it is out of date or only a sample.
REPLACED_BY_IMPORT = frozenset({"icd10cm", "label"})
MAX_READINGS = 24
# What a title adds to the plain name of a condition without making it a special form.
NEUTRAL = frozenset(
    """nos not organism other site specified uncomplicated unspecified""".split()  # noqa: SIM905
)
Shape = frozenset[str]


def rank(hits: Sequence[tuple[Hit, Collection]], terms: Sequence[Term]) -> list[Hit]:
    """The hits, best first. Scores become shares of the best one, so that files compare."""
    imported = {hit.kind for hit, collection in hits if collection.mode == "imported"}
    kept = [
        hit
        for hit, collection in hits
        if collection.mode == "imported" or hit.kind not in imported & REPLACED_BY_IMPORT
    ]
    best = max((hit.score for hit in kept), default=1.0) or 1.0
    readings = list(_readings(terms))
    scored = [hit._replace(score=_score(hit, hit.score / best, readings)) for hit in kept]
    return sorted(scored, key=lambda hit: (hit.rung, -hit.score, len(hit.key), hit.key))


def _score(hit: Hit, share: float, readings: Sequence[Shape]) -> float:
    if hit.kind not in CLASSIFICATIONS:
        return share + (0.5 if _shape(hit.title) in readings else 0.0)
    return share / 2 + _aptness(hit, readings)


def _aptness(hit: Hit, readings: Sequence[Shape]) -> float:
    """How well a code fits a bare name: the category, or "unspecified", not one special form."""
    code, _, title = hit.title.partition(" ")
    shape = _shape(title.replace(" without complications", " uncomplicated"))
    plain = shape - NEUTRAL
    own, others = readings[0], readings[1:]
    terms = [_shape(term) for term in hit.terms.split("\n")]
    if own in (shape, plain):
        bonus = 1.0
    elif any("nos" in term and term - NEUTRAL in readings for term in terms):
        bonus = 0.95  # the code of this name when nothing more is known
    elif any(other in (shape, plain) for other in others):
        bonus = 0.8
    elif any(term in readings for term in terms):
        bonus = 0.7
    else:
        bonus = 0.0
    is_open = 0.15 if {"unspecified", "uncomplicated", "nos"} & shape else 0.0
    is_other = 0.3 if "other" in shape - own else 0.0
    extra = min(len(shape - reading) for reading in readings)
    return bonus + is_open - is_other - 0.04 * extra - 0.05 * max(0, len(code) - 3)


def _readings(terms: Sequence[Term]) -> Iterator[Shape]:
    """What the whole query says: in its own words first, then with other names of its terms."""
    choices = [
        [_shape(" ".join(term.words)), *(_shape(name) for name in term.alternatives)]
        for term in terms
    ]
    for at, combination in enumerate(product(*choices)):
        if at == MAX_READINGS:
            return
        yield frozenset[str]().union(*combination)


def _shape(text: str) -> Shape:
    """The words that carry meaning, without order and plural."""
    words = (word.lower() for word in words_of(text.replace("(", " ").replace(")", " ")))
    return frozenset(_singular(word) for word in words if word not in STOPWORDS)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") else word
