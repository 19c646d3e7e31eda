"""Scores by slice, with the check that slices which divide the prompts weigh back to the whole.

A family ("theme", "use case", ...) gives each prompt at most one value; prompts without one
make a row of their own, so that nothing is lost. Slices of fewer than 30 prompts are marked
small: their intervals are shown and no conclusion is drawn from them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from kos.evals.scores import Failures, GradedAnswer, Mode, metric_values, prompt_means
from kos.evals.statistics import Estimate, estimate, holm, t_test_p

MIN_PROMPTS = 30
WITHOUT = "(none)"
# Published shares and scores are rounded to a tenth of a point each.
TOLERANCE_POINTS = 0.1


@dataclass(frozen=True)
class SliceRow:
    """One slice. ``share`` is of the prompts with a score; ``value`` is the printed headline.

    ``delta`` is candidate minus baseline on shared prompts, ``p`` its t test's and ``p_holm``
    that p adjusted for the slices beside it; they are None without a baseline.
    """

    family: str
    name: str
    n: int
    share: float
    value: float
    estimate: Estimate
    delta: Estimate | None = None
    p: float | None = None
    p_holm: float | None = None

    @property
    def is_small(self) -> bool:
        """Too few prompts to say anything."""
        return self.n < MIN_PROMPTS

    @property
    def is_different(self) -> bool:
        """Whether the difference stands after Holm, in a slice that is large enough."""
        return self.p_holm is not None and self.p_holm < 0.05 and not self.is_small


@dataclass(frozen=True)
class Partition:
    """A family's slices and its foot row: the weighted sum of their means beside the whole's."""

    family: str
    rows: tuple[SliceRow, ...]
    weighted_sum: float
    mean: float

    @property
    def adds_up(self) -> bool:
        """Whether the slices weigh back to the unclipped mean."""
        return abs(self.weighted_sum - self.mean) < 1e-9


class Cell(NamedTuple):
    """One cell of a cross table; ``mean`` is unclipped, None where no prompt falls."""

    row: str
    column: str
    n: int
    mean: float | None
    value: float | None


@dataclass(frozen=True)
class CrossTable:
    """Two families against each other."""

    row_family: str
    column_family: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[Cell, ...]


def families_of(answers: Iterable[GradedAnswer]) -> list[str]:
    """The families with at least two values among ``answers``, in the order they are met."""
    values: dict[str, set[str]] = {}
    for answer in answers:
        for family, value in answer.slices.items():
            values.setdefault(family, set()).add(value)
    return [family for family, found in values.items() if len(found) > 1]


def partition(
    answers: Sequence[GradedAnswer],
    family: str,
    mode: Mode,
    *,
    baseline: Sequence[GradedAnswer] = (),
    failures: Failures = "leave_out",
) -> Partition:
    """The slices of one family, largest first; p values are adjusted within the family."""
    means = prompt_means(answers, mode, failures=failures)
    before = prompt_means(baseline, mode, failures=failures)
    groups: dict[str, list[str]] = defaultdict(list)
    for prompt, name in _names(answers, family).items():
        if prompt in means:
            groups[name].append(prompt)
    rows = [_row(family, name, prompts, means, before, mode) for name, prompts in groups.items()]
    rows = _adjusted(sorted(rows, key=lambda row: (row.name == WITHOUT, -row.n, row.name)))
    return Partition(
        family=family,
        rows=tuple(rows),
        weighted_sum=sum(row.share * row.estimate.mean for row in rows),
        mean=fmean(means.values()) if means else 0.0,
    )


def tag_rows(
    answers: Sequence[GradedAnswer],
    start: str,
    mode: Mode,
    *,
    baseline: Sequence[GradedAnswer] = (),
    failures: Failures = "leave_out",
) -> list[SliceRow]:
    """Rubric tags such as ``axis:``: the share over the items that carry it, prompt by prompt.

    Tags overlap, so their shares do not sum to 1 and nothing weighs back to the whole.
    """
    total = len(prompt_means(answers, mode, failures=failures))
    found, before = _tag_means(answers, mode, failures), _tag_means(baseline, mode, failures)
    rows = []
    for tag, means in found.items():
        if tag.startswith(start):
            row = _row(
                start.rstrip(":"), tag, list(means), means, before.get(tag, {}), mode, total
            )
            rows.append(row)
    return _adjusted(sorted(rows, key=lambda row: (-row.n, row.name)))


def cross_table(
    answers: Sequence[GradedAnswer],
    row_family: str,
    column_family: str,
    mode: Mode,
    *,
    failures: Failures = "leave_out",
) -> CrossTable:
    """Every pair of values of the two families, with the prompts in it and their mean."""
    means = prompt_means(answers, mode, failures=failures)
    rows, columns = _names(answers, row_family), _names(answers, column_family)
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for prompt, mean in means.items():
        groups[rows[prompt], columns[prompt]].append(mean)
    row_names = _by_size(rows[prompt] for prompt in means)
    column_names = _by_size(columns[prompt] for prompt in means)
    return CrossTable(
        row_family,
        column_family,
        row_names,
        column_names,
        tuple(
            _cell(row, column, groups.get((row, column), []), mode)
            for row in row_names
            for column in column_names
        ),
    )


def weighs_back(
    parts: Iterable[tuple[float, float]], headline: float, *, tolerance: float = TOLERANCE_POINTS
) -> bool:
    """Whether published (share, score) pairs weigh back to a published headline, in points."""
    return abs(sum(share * score for share, score in parts) - headline) <= tolerance


def _names(answers: Iterable[GradedAnswer], family: str) -> dict[str, str]:
    return {answer.prompt_id: answer.slices.get(family, WITHOUT) for answer in answers}


def _tag_means(
    answers: Sequence[GradedAnswer], mode: Mode, failures: Failures
) -> dict[str, dict[str, float]]:
    means = {}
    for tag, pairs in metric_values(answers, mode, failures=failures).items():
        groups: dict[str, list[float]] = defaultdict(list)
        for prompt, value in pairs:
            groups[prompt].append(value)
        means[tag] = {prompt: fmean(values) for prompt, values in groups.items()}
    return means


def _row(
    family: str,
    name: str,
    prompts: Sequence[str],
    means: Mapping[str, float],
    before: Mapping[str, float],
    mode: Mode,
    total: int | None = None,
) -> SliceRow:
    found = estimate([means[prompt] for prompt in prompts])
    assert found is not None
    delta = estimate([means[prompt] - before[prompt] for prompt in prompts if prompt in before])
    return SliceRow(
        family=family,
        name=name,
        n=len(prompts),
        share=len(prompts) / (total or len(means)),
        value=mode.headline(found.mean),
        estimate=found,
        delta=delta,
        p=None if delta is None else t_test_p(delta),
    )


def _adjusted(rows: Sequence[SliceRow]) -> list[SliceRow]:
    """The rows with Holm's p over those that have one; a slice too small to test takes no part."""
    tested = [row for row in rows if row.p is not None and not row.is_small]
    adjusted = dict(
        zip(
            (row.name for row in tested),
            holm([row.p for row in tested if row.p is not None]),
            strict=True,
        )
    )
    return [
        SliceRow(
            row.family,
            row.name,
            row.n,
            row.share,
            row.value,
            row.estimate,
            row.delta,
            row.p,
            adjusted.get(row.name),
        )
        for row in rows
    ]


def _cell(row: str, column: str, values: Sequence[float], mode: Mode) -> Cell:
    mean = fmean(values) if values else None
    return Cell(row, column, len(values), mean, None if mean is None else mode.headline(mean))


def _by_size(names: Iterable[str]) -> tuple[str, ...]:
    sizes: dict[str, int] = defaultdict(int)
    for name in names:
        sizes[name] += 1
    return tuple(sorted(sizes, key=lambda name: (name == WITHOUT, -sizes[name], name)))
