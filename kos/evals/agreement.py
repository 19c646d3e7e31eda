"""How far those who judge agree: two raters on yes or no, or many raters with gaps.

A judge and a person, two people, or one person twice: each gives a verdict on the same rubric
items. Items of one example are judged together, so intervals resample examples, not items.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import NamedTuple, TypeVar, cast

DRAWS = 1_000


class Pair(NamedTuple):
    """Two verdicts on one thing; ``cluster`` names the example it belongs to."""

    cluster: str
    first: bool
    second: bool


class Interval(NamedTuple):
    """A statistic with its 95 % interval, and how many examples stand behind it."""

    value: float
    low: float
    high: float
    num_clusters: int


@dataclass(frozen=True)
class TwoWay:
    """How often two raters said yes and no. ``second`` counts as the one who is right."""

    both: int = 0
    first_only: int = 0
    second_only: int = 0
    neither: int = 0

    @property
    def n(self) -> int:
        """How many things both judged."""
        return self.both + self.first_only + self.second_only + self.neither

    @property
    def percent(self) -> float | None:
        """Share in ``[0, 1]`` of equal verdicts; None for none at all."""
        return (self.both + self.neither) / self.n if self.n else None

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa; None where chance alone would agree on everything.

        Source: Cohen (1960), Educational and Psychological Measurement 20, 37.
        """
        if not self.n:
            return None
        first, second = self.both + self.first_only, self.both + self.second_only
        chance = (first * second + (self.n - first) * (self.n - second)) / self.n**2
        observed = (self.both + self.neither) / self.n
        return None if chance == 1 else (observed - chance) / (1 - chance)

    @property
    def macro_f1(self) -> float | None:
        """Mean of F1 on yes and F1 on no, as HealthBench's meta-evaluation balances them."""
        if not self.n:
            return None
        wrong = self.first_only + self.second_only
        return (_f1(self.both, wrong) + _f1(self.neither, wrong)) / 2

    @property
    def balanced_accuracy(self) -> float | None:
        """Mean of the shares of ``second``'s yes and no that ``first`` found; None without both."""
        yes, no = self.both + self.second_only, self.neither + self.first_only
        return (self.both / yes + self.neither / no) / 2 if yes and no else None


def two_way(pairs: Iterable[Pair]) -> TwoWay:
    """The table of all pairs."""
    counts = Counter((pair.first, pair.second) for pair in pairs)
    return TwoWay(
        counts[True, True], counts[True, False], counts[False, True], counts[False, False]
    )


def interval(
    pairs: Sequence[Pair],
    statistic: Callable[[TwoWay], float | None],
    *,
    seed: int,
    draws: int = DRAWS,
) -> Interval | None:
    """``statistic`` of the pairs with a percentile bootstrap over examples.

    Draws in which the statistic does not exist are left out; None when it has no value.
    """
    value = statistic(two_way(pairs))
    if value is None:
        return None
    tables = _by_cluster(pairs)
    rng = random.Random(seed)  # noqa: S311 - statistics, not secrets
    drawn = [statistic(_total(rng.choices(tables, k=len(tables)))) for _ in range(draws)]
    known = sorted(found for found in drawn if found is not None)
    low, high = known[int(0.025 * (len(known) - 1))], known[-1 - int(0.025 * (len(known) - 1))]
    return Interval(value, low, high, len(tables))


C = TypeVar("C", bound=tuple[float, ...])


def intervals(
    clusters: Sequence[C],
    statistics: Mapping[str, Callable[[C], float | None]],
    *,
    seed: int,
    draws: int = DRAWS,
) -> dict[str, Interval | None]:
    """Several statistics of the same draws; ``clusters`` hold counts that add up, one an example.

    As ``interval``: percentiles, draws without a value left out, None for what has no value.
    """
    if not clusters:
        return dict.fromkeys(statistics)
    rng = random.Random(seed)  # noqa: S311 - statistics, not secrets
    drawn = [added(rng.choices(clusters, k=len(clusters))) for _ in range(draws)]
    whole = added(clusters)
    found: dict[str, Interval | None] = {}
    for name, statistic in statistics.items():
        value = statistic(whole)
        known = sorted(one for one in map(statistic, drawn) if one is not None)
        edge = int(0.025 * (len(known) - 1))
        found[name] = (
            None
            if value is None or not known
            else Interval(value, known[edge], known[-1 - edge], len(clusters))
        )
    return found


def added(counts: Sequence[C]) -> C:
    """The counts of all, column by column."""
    make = getattr(type(counts[0]), "_make", tuple)
    return cast(C, make(sum(column) for column in zip(*counts, strict=True)))


def krippendorff(units: Iterable[Sequence[Hashable]]) -> float | None:
    """Krippendorff's alpha for names; a unit lists the verdicts it got, gaps left out.

    None when nothing was judged twice or when only one verdict ever occurs.
    Source: Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, section C.
    """
    coincidences: dict[tuple[Hashable, Hashable], float] = defaultdict(float)
    totals: dict[Hashable, float] = defaultdict(float)
    for values in units:
        for first, second in permutations(values, 2):
            coincidences[first, second] += 1 / (len(values) - 1)
            totals[first] += 1 / (len(values) - 1)
    n = sum(totals.values())
    observed = sum(weight for (one, two), weight in coincidences.items() if one != two)
    expected = n * n - sum(total * total for total in totals.values())
    return None if expected == 0 else 1 - (n - 1) * observed / expected


def _f1(hits: int, wrong: int) -> float:
    # 2TP / (2TP + FP + FN): the same two errors count for both classes.
    return 2 * hits / (2 * hits + wrong) if hits or wrong else 0.0


def _by_cluster(pairs: Sequence[Pair]) -> list[tuple[int, int, int, int]]:
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair.cluster, []).append(pair)
    tables = (two_way(group) for group in groups.values())
    return [(t.both, t.first_only, t.second_only, t.neither) for t in tables]


def _total(tables: Sequence[tuple[int, int, int, int]]) -> TwoWay:
    return TwoWay(*(sum(column) for column in zip(*tables, strict=True)))
