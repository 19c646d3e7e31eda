"""Which answers a queue takes: a scope, and what makes an answer in it worth a person's time."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from django.db.models import Count, QuerySet
from pydantic import Field

from apps.traces.models import Grade, Trace, TraceFlag
from kos.data.rubrics import Frozen
from kos.evals.polarity import contradiction
from kos.events import ItemGrade

RANDOM = "random share"


class Rule(Frozen):
    """The scope comes first; an answer in it is taken for any of the reasons, or by chance."""

    origin: str = Field("", description="Only answers of this origin; empty takes all.")
    run: int | None = Field(None, ge=1, description="Only answers of this run.")
    model: str = Field("", description="Only answers of this model.")
    score_from: float | None = None
    score_to: float | None = None
    flags: tuple[str, ...] = Field((), description="Detector flags; 'any' takes every flag.")
    reported: bool = Field(False, description="Flagged by a reader in the playground.")
    ungraded: bool = Field(False, description="An item without a verdict.")
    disagreement: bool = Field(False, description="Two graders differ on an item.")
    polarity: bool = Field(False, description="An explanation contradicts its verdict.")
    penalties: bool = Field(False, description="A negative item is marked met.")
    random_percent: int = Field(0, ge=0, le=100, description="Share of the other answers.")

    @property
    def has_reason(self) -> bool:
        """Whether the rule can take anything at all."""
        return bool(
            self.flags
            or self.reported
            or self.ungraded
            or self.disagreement
            or self.polarity
            or self.penalties
            or self.random_percent
        )


@dataclass(frozen=True)
class Match:
    """An answer the rule takes, and why."""

    trace: int
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Preview:
    """What a rule would take, before anything is taken."""

    num_scope: int
    num_matched: int
    num_taken: int
    reasons: Mapping[str, int]


def preview(rule: Rule, *, size: int, seed: int) -> Preview:
    """How many answers the rule finds in its scope, reason by reason."""
    matches = find(rule, seed=seed)
    counts = Counter(reason for match in matches for reason in match.reasons)
    return Preview(scope(rule).count(), len(matches), min(size, len(matches)), dict(counts))


def find(rule: Rule, *, seed: int) -> list[Match]:
    """All answers the rule takes, in an order that depends on ``seed`` alone.

    Answers with a reason and those taken by chance are mixed: whoever reads the queue from the
    start cannot tell which is which.
    """
    traces = scope(rule)
    reasons: dict[int, list[str]] = defaultdict(list)
    for name, search in _searches(rule).items():
        for pk in search(traces):
            reasons[pk].append(name)
    if rule.random_percent:
        for pk in traces.values_list("pk", flat=True):
            if pk not in reasons and _chance(seed, "take", pk) < rule.random_percent / 100:
                reasons[pk].append(RANDOM)
    order = sorted(reasons, key=lambda pk: _chance(seed, "order", pk))
    return [Match(pk, tuple(reasons[pk])) for pk in order]


def scope(rule: Rule) -> QuerySet[Trace]:
    """The answers a rule looks at. Benchmark text is never shown, so nobody can review it."""
    wanted = {
        "origin": rule.origin or None,
        "run": rule.run,
        "model": rule.model or None,
        "score__gte": rule.score_from,
        "score__lte": rule.score_to,
    }
    narrowed = {name: value for name, value in wanted.items() if value is not None}
    return Trace.objects.filter(is_restricted=False, error="", **narrowed).order_by("pk")


Search = Callable[[QuerySet[Trace]], Iterable[int]]


def _searches(rule: Rule) -> dict[str, Search]:
    searches: dict[str, tuple[bool, Search]] = {
        "reported by a reader": (rule.reported, _reported),
        "ungraded item": (rule.ungraded, _ungraded),
        "graders differ": (rule.disagreement, _disagreeing),
        "explanation against verdict": (rule.polarity, _contradicting),
        "penalty": (rule.penalties, _penalised),
    }
    found = {name: search for name, (is_wanted, search) in searches.items() if is_wanted}
    return {_flag_name(flag): _flagged(flag) for flag in rule.flags} | found


def _flag_name(flag: str) -> str:
    return "any flag" if flag == "any" else f"flag {flag}"


def _flagged(flag: str) -> Search:
    def search(traces: QuerySet[Trace]) -> Iterable[int]:
        found = (
            traces.exclude(flags=[]) if flag == "any" else traces.filter(flags__contains=[flag])
        )
        return found.values_list("pk", flat=True)

    return search


def _reported(traces: QuerySet[Trace]) -> Iterable[int]:
    raised = TraceFlag.objects.open().filter(trace__in=traces)
    return raised.values_list("trace", flat=True).distinct().order_by()


def _ungraded(traces: QuerySet[Trace]) -> Iterable[int]:
    found = traces.filter(grades__met=None, grades__isnull=False)
    return found.values_list("pk", flat=True).distinct()


def _penalised(traces: QuerySet[Trace]) -> Iterable[int]:
    found = traces.filter(grades__met=True, grades__points__lt=0)
    return found.values_list("pk", flat=True).distinct()


def _disagreeing(traces: QuerySet[Trace]) -> Iterable[int]:
    grades = Grade.objects.filter(trace__in=traces, met__isnull=False).order_by()
    doubled = grades.values("trace", "key").annotate(num=Count("met", distinct=True))
    return doubled.filter(num__gt=1).values_list("trace", flat=True).distinct()


def _contradicting(traces: QuerySet[Trace]) -> Iterable[int]:
    grades = Grade.objects.filter(trace__in=traces, met__isnull=False).exclude(note="").order_by()
    rows = grades.values_list("trace", "key", "text", "points", "met", "grader", "note")
    found = set()
    for pk, key, text, points, met, grader, note in rows.iterator(chunk_size=2000):
        if contradiction(ItemGrade(key, text, points, met, grader, note)):
            found.add(pk)
    return found


def _chance(seed: int, purpose: str, pk: int) -> float:
    """A number in [0, 1) that is the same in every process, today and later."""
    digest = hashlib.sha256(f"{seed}:{purpose}:{pk}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
