"""How far a judge is to be trusted: its verdicts against people's on the same rows.

Every (judge, person) pair on a row counts once, as HealthBench's meta-evaluation pools them.
Rows of one prompt are judged alike, so intervals resample prompts (percentile bootstrap). Where a
statistic divides by nothing it is None. Shares lie in ``[0, 1]``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from statistics import fmean
from typing import Any, NamedTuple

from kos.evals.agreement import DRAWS, TwoWay, added, intervals
from kos.evals.statistics import wilson

NUM_BINS = 5


@dataclass(frozen=True)
class Ruled:
    """One row with the judge's verdict; ``met`` is None where it gave none.

    ``again`` is the verdict with the items asked in the opposite order, None where they were
    not. ``lint`` says how the explanation contradicts the verdict ("" does not).
    """

    id: str
    prompt_id: str
    category: str
    num_chars: int
    labels: tuple[bool, ...]
    by: tuple[str, ...]
    met: bool | None
    again: bool | None = None
    lint: str = ""
    is_absence: bool = False


class Counts(NamedTuple):
    """Pairs of verdicts, the judge's first; and the rows they stand on."""

    both: float = 0
    first_only: float = 0
    second_only: float = 0
    neither: float = 0
    rows: float = 0
    rows_met: float = 0

    @property
    def table(self) -> TwoWay:
        """The pairs alone."""
        return TwoWay(*(int(one) for one in self[:4]))

    @property
    def recall_met(self) -> float | None:
        """Share of people's "met" that the judge found: the true positive rate."""
        return _share(self.both, self.both + self.second_only)

    @property
    def recall_unmet(self) -> float | None:
        """Share of people's "not met" that the judge found."""
        return _share(self.neither, self.neither + self.first_only)

    @property
    def met_rate(self) -> float | None:
        """Share of rows the judge found met."""
        return _share(self.rows_met, self.rows)

    @property
    def corrected(self) -> float | None:
        """The met rate without the judge's own errors; None for a judge no better than chance."""
        if self.met_rate is None or self.recall_met is None or self.recall_unmet is None:
            return None
        return corrected(self.met_rate, self.recall_met, 1 - self.recall_unmet)


class Moments(NamedTuple):
    """Sums for a straight line."""

    n: float
    x: float
    y: float
    xx: float
    xy: float

    @property
    def slope(self) -> float | None:
        """Least squares; None where x does not vary."""
        spread = self.n * self.xx - self.x**2
        # Relative: sums of equal lengths differ by rounding alone.
        if spread <= 1e-9 * self.n * self.xx:
            return None
        return (self.n * self.xy - self.x * self.y) / spread

    @property
    def intercept(self) -> float | None:
        """The line at x = 0."""
        return None if self.slope is None else (self.y - self.slope * self.x) / self.n


STATISTICS: dict[str, Callable[[Counts], float | None]] = {
    "kappa": lambda one: one.table.kappa,
    "macro_f1": lambda one: one.table.macro_f1,
    "balanced_accuracy": lambda one: one.table.balanced_accuracy,
    "precision_met": lambda one: _share(one.both, one.both + one.first_only),
    "recall_met": lambda one: one.recall_met,
    "f1_met": lambda one: _f1(one.both, one),
    "precision_unmet": lambda one: _share(one.neither, one.neither + one.second_only),
    "recall_unmet": lambda one: one.recall_unmet,
    "f1_unmet": lambda one: _f1(one.neither, one),
    "met_rate": lambda one: one.met_rate,
    "corrected": lambda one: one.corrected,
}


def corrected(rate: float, true_rate: float, false_rate: float) -> float | None:
    """``(p - FPR) / (TPR - FPR)`` within ``[0, 1]``; None unless TPR is above FPR.

    Source: Rogan & Gladen (1978), American Journal of Epidemiology 107, 71.
    """
    if true_rate <= false_rate:
        return None
    return min(1.0, max(0.0, (rate - false_rate) / (true_rate - false_rate)))


def measure(rows: Sequence[Ruled], *, seed: int, draws: int = DRAWS) -> dict[str, Any]:
    """Everything a calibration reports of verdicts, as JSON."""
    graded = [row for row in rows if row.met is not None]
    whole = agreement_of(graded, seed=seed, draws=draws)
    categories = _categories(graded, whole, seed=seed, draws=draws)
    means = [row["macro_f1"]["value"] for row in categories if row["macro_f1"]]
    return {
        "num_rows": len(rows),
        "num_labels": sum(len(row.labels) for row in rows),
        "num_prompts": len({row.prompt_id for row in rows}),
        "ungraded": _rate(len(rows) - len(graded), len(rows)),
        "all": whole,
        "mean_over_categories": fmean(means) if means else None,
        "categories": categories,
        "people": people(graded, seed=seed, draws=draws),
        "length": length(graded, seed=seed, draws=draws),
        "order": order(graded),
        "polarity": polarity(graded),
    }


def agreement_of(rows: Sequence[Ruled], *, seed: int, draws: int = DRAWS) -> dict[str, Any]:
    """The two-way table and every statistic with its interval; ``n`` counts pairs."""
    clusters = [*clusters_of(rows).values()]
    whole = added(clusters) if clusters else Counts()
    found = intervals(clusters, STATISTICS, seed=seed, draws=draws)
    return {
        "n": whole.table.n,
        "num_rows": len(rows),
        "tp": int(whole.both),
        "fp": int(whole.first_only),
        "fn": int(whole.second_only),
        "tn": int(whole.neither),
        "people_rate": _share(whole.both + whole.second_only, whole.table.n),
        **{name: None if one is None else one._asdict() for name, one in found.items()},
    }


def clusters_of(rows: Iterable[Ruled]) -> dict[str, Counts]:
    """The counts of each prompt."""
    groups: dict[str, list[Counts]] = defaultdict(list)
    for row in rows:
        groups[row.prompt_id or row.id].append(counts_of(row))
    return {name: added(group) for name, group in groups.items()}


def counts_of(row: Ruled) -> Counts:
    """One graded row."""
    met = sum(row.labels)
    unmet = len(row.labels) - met
    return Counts(met, unmet, 0, 0, 1, 1) if row.met else Counts(0, 0, met, unmet, 1, 0)


def people(rows: Sequence[Ruled], *, seed: int, draws: int = DRAWS) -> dict[str, Any]:
    """People against each other on the same rows, each against every other.

    ``weighted_macro_f1`` takes each person's own and weighs them by pairs, as HealthBench does.
    """
    groups: dict[str, list[Counts]] = defaultdict(list)
    persons: dict[str, list[Counts]] = defaultdict(list)
    for row in rows:
        for (ours, name), (theirs, _) in permutations(zip(row.labels, row.by, strict=True), 2):
            pair = _pair(ours, theirs)
            groups[row.prompt_id or row.id].append(pair)
            persons[name].append(pair)
    wanted = {name: STATISTICS[name] for name in ("kappa", "macro_f1", "balanced_accuracy")}
    found = intervals([added(one) for one in groups.values()], wanted, seed=seed, draws=draws)
    each = [added(one).table for one in persons.values()]
    total = sum(one.n for one in each)
    return {
        "num_people": len(persons),
        "n": total,
        **{name: None if one is None else one._asdict() for name, one in found.items()},
        "weighted_macro_f1": sum(one.n * (one.macro_f1 or 0) for one in each) / total
        if total
        else None,
    }


def length(rows: Sequence[Ruled], *, seed: int, draws: int = DRAWS) -> dict[str, Any]:
    """Where the judge errs by length: bins of equal size, and the slope a 1,000 characters.

    A row's error is the share of its people who said otherwise. ``bias`` is the judge's met
    rate less people's: below 0 it marks such answers down.
    """
    groups: dict[str, list[Moments]] = defaultdict(list)
    for row in rows:
        x, y = row.num_chars / 1000, _error(row)
        groups[row.prompt_id or row.id].append(Moments(1, x, y, x * x, x * y))
    sums = [added(one) for one in groups.values()]
    slope: Callable[[Moments], float | None] = lambda one: one.slope  # noqa: E731
    found = intervals(sums, {"slope": slope}, seed=seed, draws=draws)["slope"]
    return {
        "bins": [_bin(part) for part in _parts(rows)],
        "slope": None if found is None else found._asdict(),
        "intercept": added(sums).intercept if sums else None,
    }


def order(rows: Iterable[Ruled]) -> dict[str, Any] | None:
    """How often the opposite order of the items turned a verdict; None where none was tried."""
    twice = [row for row in rows if row.again is not None]
    return _rate(sum(row.met != row.again for row in twice), len(twice)) if twice else None


def polarity(rows: Sequence[Ruled]) -> dict[str, Any]:
    """How often the explanation contradicts the verdict; ``absences`` are "Fails to ..." items."""
    absences = [row for row in rows if row.is_absence]
    return _rate(sum(bool(row.lint) for row in rows), len(rows)) | {
        "absences": _rate(sum(bool(row.lint) for row in absences), len(absences))
    }


def _categories(
    rows: Iterable[Ruled], whole: Mapping[str, Any], *, seed: int, draws: int
) -> list[dict[str, Any]]:
    """Each category by itself; its met rate is corrected by the errors on all rows."""
    groups: dict[str, list[Ruled]] = defaultdict(list)
    for row in rows:
        groups[row.category].append(row)
    found = []
    for name, group in sorted(groups.items(), key=lambda one: (-len(one[1]), one[0])):
        numbers = agreement_of(group, seed=seed, draws=draws)
        true, false = whole["recall_met"], whole["recall_unmet"]
        numbers["corrected"] = (
            corrected(numbers["met_rate"]["value"], true["value"], 1 - false["value"])
            if true and false
            else None
        )
        found.append({"category": name, **numbers})
    return found


def _parts(rows: Sequence[Ruled]) -> list[list[Ruled]]:
    """The rows by length, in parts of about one size; equal lengths stay together."""
    ranked = sorted(rows, key=lambda row: row.num_chars)
    parts: list[list[Ruled]] = [[] for _ in range(NUM_BINS)]
    places: dict[int, int] = {}
    for rank, row in enumerate(ranked):
        place = places.setdefault(row.num_chars, rank * NUM_BINS // len(ranked))
        parts[place].append(row)
    return [part for part in parts if part]


def _bin(rows: Sequence[Ruled]) -> dict[str, Any]:
    counts = added([counts_of(row) for row in rows])
    others = [pair for row in rows for pair in permutations(row.labels, 2)]
    wrong = counts.first_only + counts.second_only
    people_met = (counts.both + counts.second_only) / counts.table.n
    found = _rate(int(wrong), counts.table.n)
    return {
        "low": rows[0].num_chars,
        "high": rows[-1].num_chars,
        "middle": fmean(row.num_chars for row in rows),
        "hits": found["hits"],
        "n": found["n"],
        "rate": found["rate"],
        "rate_low": found["low"],
        "rate_high": found["high"],
        "num_rows": len(rows),
        "people_error": fmean(one != other for one, other in others) if others else None,
        "bias": (counts.both + counts.first_only) / counts.table.n - people_met,
    }


def _error(row: Ruled) -> float:
    return fmean(label != row.met for label in row.labels)


def _pair(ours: bool, theirs: bool) -> Counts:
    return Counts(ours and theirs, ours and not theirs, theirs and not ours, not (ours or theirs))


def _rate(hits: int, n: int) -> dict[str, Any]:
    low, high = wilson(hits, n) if n else (None, None)
    return {"hits": hits, "n": n, "rate": hits / n if n else None, "low": low, "high": high}


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _f1(hits: float, counts: Counts) -> float | None:
    return _share(2 * hits, 2 * hits + counts.first_only + counts.second_only)


def compare(
    first: Sequence[Ruled], second: Sequence[Ruled], *, seed: int, draws: int = DRAWS
) -> dict[str, Any]:
    """Two judges on the rows both graded: second less first, and how far they agree.

    Prompts are drawn once for both, so what makes a prompt hard for both cancels.
    """
    ours = {row.id: row for row in second if row.met is not None}
    pairs = [(row, ours[row.id]) for row in first if row.met is not None and row.id in ours]
    groups: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    names: dict[str, list[tuple[Ruled, Ruled]]] = defaultdict(list)
    for one, other in pairs:
        between = _pair(bool(one.met), bool(other.met))
        groups[one.prompt_id or one.id].append((*counts_of(one), *counts_of(other), *between))
        names[one.category].append((one, other))
    wanted: dict[str, Callable[[tuple[float, ...]], float | None]] = {
        name: partial(_difference, STATISTICS[name])
        for name in ("kappa", "macro_f1", "balanced_accuracy", "recall_met", "recall_unmet")
    }
    wanted["between"] = lambda one: Counts(*one[12:]).table.kappa
    found = intervals([added(one) for one in groups.values()], wanted, seed=seed, draws=draws)
    return {
        "num_rows": len(pairs),
        "num_prompts": len(groups),
        "same": sum(one.met == other.met for one, other in pairs),
        **{name: None if one is None else one._asdict() for name, one in found.items()},
        "categories": [_beside(name, group) for name, group in sorted(names.items())],
    }


def _difference(
    statistic: Callable[[Counts], float | None], one: tuple[float, ...]
) -> float | None:
    before, after = statistic(Counts(*one[:6])), statistic(Counts(*one[6:12]))
    return None if before is None or after is None else after - before


def _beside(name: str, pairs: Sequence[tuple[Ruled, Ruled]]) -> dict[str, Any]:
    tables = [added([counts_of(pair[side]) for pair in pairs]).table for side in (0, 1)]
    return {
        "category": name,
        "n": tables[0].n,
        "kappas": [table.kappa for table in tables],
        "macro_f1s": [table.macro_f1 for table in tables],
        "same": sum(one.met == other.met for one, other in pairs) / len(pairs),
    }
