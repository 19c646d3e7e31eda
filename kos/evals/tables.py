"""The tables of one run: length against score, failures, items, examples."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from kos.evals.scores import Failures, GradedAnswer, Mode, Score, by_prompt, score, value
from kos.evals.statistics import Interval, Line, deviation, fit, wilson
from kos.events import ItemGrade

# Flags every run is looked through for, even at zero: a missing row would read as "not sought".
SOUGHT = ("think_leak", "unclosed_think", "unclosed_call", "repetition", "truncated", "empty")
# HealthBench Professional fitted its coefficient on answers of at most 4,000 characters.
LONG_CHARS = 4000
LENGTH_EDGES = (0, 500, 1000, 1500, 2000, 3000, 4000)
MIN_SEEN = 3


class Rate(NamedTuple):
    """A flag over ``n`` answers with its Wilson interval. ``place`` says which answers."""

    flag: str
    place: str
    hits: int
    n: int
    low: float
    high: float


class LengthBin(NamedTuple):
    """Answers of ``low`` to below ``high`` characters; ``high`` is None in the last bin."""

    low: int
    high: int | None
    n: int
    mean: float


@dataclass(frozen=True)
class Length:
    """How the score goes with the length. ``points`` are (chars, score) of each answer."""

    line: Line
    points: tuple[tuple[int, float], ...]
    bins: tuple[LengthBin, ...]
    mean_chars: float
    share_long: float


class ItemRow(NamedTuple):
    """A criterion over all answers it was asked of. ``text`` is empty for restricted rows.

    ``hits`` counts what went wrong: a positive item not met, a negative one met.
    ``points_lost`` sums the points, so a criterion worth much stands above one often asked.
    """

    name: str
    text: str
    axis: str
    is_fault: bool
    hits: int
    n: int
    low: float
    high: float
    points_lost: float


class ExampleRow(NamedTuple):
    """One prompt. ``value`` is the mean of its samples, None when none is graded."""

    prompt_id: str
    value: float | None
    spread: float | None
    num_samples: int
    num_graded: int
    chars: float
    flags: tuple[str, ...]
    slices: tuple[tuple[str, str], ...]
    restricted: bool


def length_of(answers: Sequence[GradedAnswer], *, failures: Failures = "leave_out") -> Length:
    """Raw scores against characters, answer by answer."""
    points = tuple(
        (answer.chars, found)
        for answer in answers
        if (found := value(answer, Mode("raw"), failures=failures)) is not None
    )
    chars = [answer.chars for answer in answers]
    return Length(
        line=fit([x for x, _ in points], [y for _, y in points]),
        points=points,
        bins=_bins(points),
        mean_chars=fmean(chars) if chars else 0.0,
        share_long=fmean(number > LONG_CHARS for number in chars) if chars else 0.0,
    )


def _bins(points: Sequence[tuple[int, float]]) -> tuple[LengthBin, ...]:
    found = []
    for place, low in enumerate(LENGTH_EDGES):
        high = LENGTH_EDGES[place + 1] if place + 1 < len(LENGTH_EDGES) else None
        inside = [y for x, y in points if low <= x and (high is None or x < high)]
        if inside:
            found.append(LengthBin(low, high, len(inside), fmean(inside)))
    return tuple(found)


def rates(answers: Sequence[GradedAnswer], place: str = "all") -> list[Rate]:
    """Every flag sought or found, over ``answers``."""
    counts = Counter(flag for answer in answers for flag in set(answer.flags))
    names = [*SOUGHT, *sorted(counts.keys() - set(SOUGHT))]
    return [_rate(name, place, counts[name], len(answers)) for name in names]


def rates_by(
    answers: Sequence[GradedAnswer], place: Callable[[GradedAnswer], Hashable]
) -> list[Rate]:
    """The flags that occur, apart for each ``place``: by number of turns, or by step."""
    groups: dict[str, list[GradedAnswer]] = defaultdict(list)
    for answer in sorted(answers, key=lambda answer: str(place(answer)).zfill(9)):
        groups[str(place(answer))].append(answer)
    seen = {flag for answer in answers for flag in answer.flags}
    return [
        rate for name, group in groups.items() for rate in rates(group, name) if rate.flag in seen
    ]


def _rate(flag: str, place: str, hits: int, n: int) -> Rate:
    low, high = wilson(hits, n)
    return Rate(flag, place, hits, n, low, high)


def empty_share(answers: Sequence[GradedAnswer]) -> Rate:
    """Answers without a character: with length adjustment each earns points for nothing."""
    return _rate("empty", "all", sum(answer.chars == 0 for answer in answers), len(answers))


def with_and_without(
    answers: Sequence[GradedAnswer], mode: Mode, *, failures: Failures = "leave_out"
) -> tuple[Score, Score]:
    """The score over all answers, and over those without any flag."""
    clean = [answer for answer in answers if not answer.flags]
    return score(answers, mode, failures=failures), score(clean, mode, failures=failures)


def item_rows(answers: Iterable[GradedAnswer]) -> list[ItemRow]:
    """What went wrong by criterion, most points lost first.

    Items are counted under their consensus tag (``cluster:*``) or else under their key, which
    equal criteria share; those seen in fewer than 3 answers are left out.
    """
    groups: dict[tuple[str, bool], list[tuple[ItemGrade, bool]]] = defaultdict(list)
    for answer in answers:
        for item in answer.items:
            if item.met is not None:
                name = (_consensus(item) or item.key, item.points < 0)
                groups[name].append((item, answer.restricted))
    rows = [_item_row(*name, seen) for name, seen in groups.items() if len(seen) >= MIN_SEEN]
    return sorted(rows, key=lambda row: (-row.points_lost, row.name))


def failed_items(rows: Iterable[ItemRow]) -> list[ItemRow]:
    """Positive criteria, the most often failed first."""
    return sorted((row for row in rows if not row.is_fault), key=lambda row: -row.hits)


def triggered_faults(rows: Iterable[ItemRow]) -> list[ItemRow]:
    """Faults, the most often committed first."""
    return sorted((row for row in rows if row.is_fault and row.hits), key=lambda row: -row.hits)


def _item_row(name: str, is_fault: bool, seen: Sequence[tuple[ItemGrade, bool]]) -> ItemRow:
    wrong = [item for item, _ in seen if bool(item.met) == is_fault]
    first, is_restricted = seen[0]
    interval: Interval = wilson(len(wrong), len(seen))
    texts = {item.text for item, _ in seen}
    return ItemRow(
        name=name,
        text="" if is_restricted or len(texts) > 1 else first.text,
        axis=_tag(first, "axis:"),
        is_fault=is_fault,
        hits=len(wrong),
        n=len(seen),
        low=interval.low,
        high=interval.high,
        points_lost=sum(abs(item.points) for item in wrong),
    )


def _consensus(item: ItemGrade) -> str:
    return _tag(item, "cluster:") or _tag(item, "consensus:")


def _tag(item: ItemGrade, start: str) -> str:
    return next((tag.removeprefix(start) for tag in item.tags if tag.startswith(start)), "")


def example_rows(
    answers: Sequence[GradedAnswer], mode: Mode, *, failures: Failures = "leave_out"
) -> list[ExampleRow]:
    """One row a prompt, in the order the prompts are met."""
    values = by_prompt(answers, mode, failures=failures)
    groups: dict[str, list[GradedAnswer]] = defaultdict(list)
    for answer in answers:
        groups[answer.prompt_id].append(answer)
    return [
        _example_row(prompt, group, values.get(prompt, [])) for prompt, group in groups.items()
    ]


def _example_row(
    prompt: str, answers: Sequence[GradedAnswer], values: Sequence[float]
) -> ExampleRow:
    return ExampleRow(
        prompt_id=prompt,
        value=fmean(values) if values else None,
        spread=deviation(values) if len(values) > 1 else None,
        num_samples=len(answers),
        num_graded=len(values),
        chars=fmean(answer.chars for answer in answers),
        flags=tuple(sorted({flag for answer in answers for flag in answer.flags})),
        slices=tuple(answers[0].slices.items()),
        restricted=answers[0].restricted,
    )


def arithmetic(answer: GradedAnswer, mode: Mode) -> str:
    """The score written out: "17 - 6 of 22 = 0.50; 2,500 chars: -0.0147 -> 0.4853"."""
    if answer.share is None or any(item.met is None for item in answer.items):
        missing = sum(item.met is None for item in answer.items)
        return f"no score: {missing} of {len(answer.items)} items without a verdict"
    earned = sum(item.points for item in answer.items if item.met and item.points > 0)
    lost = -sum(item.points for item in answer.items if item.met and item.points < 0)
    possible = sum(item.points for item in answer.items if item.points > 0)
    said = f"{earned:g} - {lost:g} of {possible:g} = {answer.share:.4g}"
    found = mode.of_answer(answer.share, answer.chars)
    if mode.name == "healthbench_len":
        return f"{said}; {answer.chars:,} chars: {found - answer.share:+.4f} -> {found:.4f}"
    return f"{said}; clipped to {found:.4g}" if found != answer.share else said
