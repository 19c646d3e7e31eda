"""How far reviewers agree with the grader, with each other, and with themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from django.db.models import QuerySet

from apps.reviews.models import Item, Queue, Review, Verdict
from kos.evals.agreement import Interval, Pair, TwoWay, interval, krippendorff, two_way

# A kappa of fewer items says nothing: its interval spans half the scale.
FEW = 30
# A single rubric item is listed from so many verdicts on.
LEAST = 5


class Row(NamedTuple):
    """Agreement over one group of items."""

    name: str
    table: TwoWay
    kappa: Interval | None

    @property
    def is_few(self) -> bool:
        """Too few to read."""
        return self.table.n < FEW


@dataclass(frozen=True)
class Agreement:
    """All that the page shows. Where pairs are a grader and people, the grader comes first."""

    num_reviews: int
    num_verdicts: int
    num_unsure: int
    judge: Row
    macro_f1: Interval | None
    balanced: Interval | None
    by_category: list[Row]
    by_item: list[Row]
    people: list[Row]
    alpha: float | None
    steadiness: list[Row]


def of_queue(queue: Queue) -> Agreement:
    """Agreement over the submitted reviews of a queue."""
    return of_verdicts(submitted(queue), seed=queue.seed)


def submitted(queue: Queue) -> QuerySet[Verdict]:
    """Every verdict of a submitted review of the queue, adjudications aside."""
    found = Verdict.objects.filter(
        review__item__queue=queue,
        review__status=Review.Status.SUBMITTED,
        review__is_adjudication=False,
    )
    return found.select_related("grade", "review__item__trace", "review__reviewer").order_by("pk")


def of_verdicts(verdicts: Iterable[Verdict], *, seed: int) -> Agreement:
    """Agreement over any verdicts; unsure ones are counted and otherwise left out."""
    found = [*verdicts]
    first_look = [one for one in found if one.review.item.repeat_of_id is None]
    pairs = [(one, pair) for one in first_look if (pair := judged_pair(one)) is not None]
    against = [pair for _, pair in pairs]
    return Agreement(
        num_reviews=len({one.review_id for one in found}),
        num_verdicts=len(found),
        num_unsure=sum(one.is_met is None for one in found),
        judge=row("All items", against, seed),
        macro_f1=interval(against, lambda table: table.macro_f1, seed=seed),
        balanced=interval(against, lambda table: table.balanced_accuracy, seed=seed),
        by_category=_grouped(pairs, categories, seed),
        by_item=[
            row
            for row in _grouped(pairs, lambda one: [one.grade.key], seed)
            if row.table.n >= LEAST
        ],
        people=_people(first_look, seed),
        alpha=krippendorff(_units(first_look).values()),
        steadiness=_steadiness(found, seed),
    )


def judged_pair(verdict: Verdict) -> Pair | None:
    """The grader's verdict and the person's; None where either is missing."""
    if verdict.judged is None or verdict.is_met is None:
        return None
    return Pair(verdict.review.item.trace.example_id, verdict.judged, verdict.is_met)


def categories(verdict: Verdict) -> list[str]:
    """The groups a verdict counts in: sign, and the rubric's own tags."""
    sign = "wishes (positive points)" if verdict.grade.points > 0 else "faults (negative points)"
    return [sign, *verdict.grade.tags]


def row(name: str, pairs: Sequence[Pair], seed: int) -> Row:
    """The table of these pairs, with kappa's interval over examples."""
    return Row(name, two_way(pairs), interval(pairs, lambda table: table.kappa, seed=seed))


def _grouped(
    pairs: Iterable[tuple[Verdict, Pair]], names: Callable[[Verdict], list[str]], seed: int
) -> list[Row]:
    groups: dict[str, list[Pair]] = defaultdict(list)
    for verdict, pair in pairs:
        for name in names(verdict):
            groups[name].append(pair)
    rows = [row(name, group, seed) for name, group in groups.items()]
    return sorted(rows, key=lambda one: (-one.table.n, one.name))


def _people(verdicts: Iterable[Verdict], seed: int) -> list[Row]:
    """Every two reviewers on the items both judged."""
    said: dict[str, dict[int, Verdict]] = defaultdict(dict)
    for verdict in verdicts:
        if verdict.is_met is not None:
            said[verdict.review.reviewer.username][verdict.grade_id] = verdict
    rows = []
    for one, other in combinations(sorted(said), 2):
        shared = said[one].keys() & said[other].keys()
        pairs = [_pair(said[one][pk], said[other][pk]) for pk in sorted(shared)]
        if pairs:
            rows.append(row(f"{one} and {other}", pairs, seed))
    return rows


def _steadiness(verdicts: Iterable[Verdict], seed: int) -> list[Row]:
    """Each reviewer against themselves, on the answers they saw twice."""
    found = [one for one in verdicts if one.is_met is not None]
    firsts = {
        (one.review.reviewer_id, one.grade_id): one
        for one in found
        if one.review.item.repeat_of_id is None
    }
    groups: dict[str, list[Pair]] = defaultdict(list)
    for again in found:
        first = firsts.get((again.review.reviewer_id, again.grade_id))
        if again.review.item.repeat_of_id is not None and first is not None:
            groups[again.review.reviewer.username].append(_pair(first, again))
    return [row(name, pairs, seed) for name, pairs in sorted(groups.items())]


def _pair(first: Verdict, second: Verdict) -> Pair:
    example = first.review.item.trace.example_id
    return Pair(example, bool(first.is_met), bool(second.is_met))


def _units(verdicts: Iterable[Verdict]) -> dict[int, list[bool]]:
    units: dict[int, list[bool]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.is_met is not None:
            units[verdict.grade_id].append(verdict.is_met)
    return units


def disputes(queue: Queue) -> QuerySet[Item]:
    """The items that wait for somebody to settle them, or to accept their corrections."""
    waiting = (Item.Status.DISPUTED, Item.Status.PROPOSED)
    return queue.items.filter(status__in=waiting).select_related("trace").order_by("status", "pk")
