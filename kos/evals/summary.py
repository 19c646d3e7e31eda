"""One run of one model as its page shows it, from the headline down to the examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any

from kos.evals.compare import judges_of
from kos.evals.scores import Failures, GradedAnswer, Mode, Score, by_prompt, score, worst_at_k
from kos.evals.slices import (
    CrossTable,
    Partition,
    SliceRow,
    cross_table,
    families_of,
    partition,
    tag_rows,
)
from kos.evals.statistics import Parts, variance_parts
from kos.evals.tables import (
    ItemRow,
    Length,
    Rate,
    empty_share,
    failed_items,
    item_rows,
    length_of,
    rates,
    rates_by,
    triggered_faults,
    with_and_without,
)

SHOWN_ITEMS = 30
CROSS = ("use case", "slice")


@dataclass(frozen=True)
class Headline:
    """The first block of the page: the number and all that one must know to read it.

    ``beside`` are the same answers in the other modes, never to be compared with this one.
    """

    score: Score
    beside: tuple[Score, ...]
    num_prompts: int
    samples: tuple[int, int]
    judges: str
    mean_chars: float
    empty: Rate
    parts: Parts | None
    worst: Mapping[int, float]
    arithmetic: str


@dataclass(frozen=True)
class Summary:
    """Everything the run page shows but its examples, which are paged."""

    model: str
    headline: Headline
    partitions: tuple[Partition, ...]
    cross: CrossTable | None
    axes: tuple[SliceRow, ...]
    length: Length
    rates: tuple[Rate, ...]
    rates_by_turns: tuple[Rate, ...]
    rates_by_step: tuple[Rate, ...]
    unflagged: Score
    failed: tuple[ItemRow, ...]
    faults: tuple[ItemRow, ...]
    restricted: bool


def summarise(
    answers: Sequence[GradedAnswer],
    mode: Mode,
    *,
    baseline: Sequence[GradedAnswer] = (),
    failures: Failures = "leave_out",
) -> Summary:
    """Summarise one model's answers; ``baseline`` gives the slices a difference."""
    families = families_of(answers)
    items = item_rows(answers)
    return Summary(
        model=answers[0].model if answers else "",
        headline=headline(answers, mode, failures=failures),
        partitions=tuple(
            partition(answers, family, mode, baseline=baseline, failures=failures)
            for family in families
        ),
        cross=(
            cross_table(answers, *CROSS, mode, failures=failures)
            if set(CROSS) <= set(families)
            else None
        ),
        axes=tuple(tag_rows(answers, "axis:", mode, baseline=baseline, failures=failures)),
        length=length_of(answers, failures=failures),
        rates=tuple(rates(answers)),
        rates_by_turns=tuple(rates_by(answers, lambda answer: answer.num_turns)),
        rates_by_step=tuple(rates_by(answers, lambda answer: answer.step)),
        unflagged=with_and_without(answers, mode, failures=failures)[1],
        failed=tuple(failed_items(items)[:SHOWN_ITEMS]),
        faults=tuple(triggered_faults(items)[:SHOWN_ITEMS]),
        restricted=any(answer.restricted for answer in answers),
    )


def headline(
    answers: Sequence[GradedAnswer], mode: Mode, *, failures: Failures = "leave_out"
) -> Headline:
    """The headline block alone: cheap enough for a live page."""
    found = score(answers, mode, failures=failures)
    groups = by_prompt(answers, mode, failures=failures)
    sizes = [len(values) for values in groups.values()]
    least = min(sizes, default=0)
    others = [Mode(name) for name in ("raw", "healthbench_len") if name != mode.name]
    lowest = {k: worst_at_k(groups, k) for k in range(2, min(least, 8) + 1)}
    return Headline(
        score=found,
        beside=tuple(score(answers, other, failures=failures) for other in others),
        num_prompts=len({answer.prompt_id for answer in answers}),
        samples=(least, max(sizes, default=0)),
        judges=judges_of(answers),
        mean_chars=length_of(answers).mean_chars,
        empty=empty_share(answers),
        parts=variance_parts(list(groups.values())) if least > 1 else None,
        worst={k: mode.headline(value) for k, value in lowest.items() if value is not None},
        arithmetic=say_headline(found),
    )


def say_headline(found: Score) -> str:
    """How the printed number came about, in one line."""
    if found.estimate is None or found.value is None:
        return "no answer is graded"
    mean, error, low, high, n = found.estimate
    clip = f", clipped to [0, 1]: {found.value:.4f}" if found.is_clipped else ""
    return (
        f"mean of {n} prompt means in mode {found.mode.label} = {mean:.4f}{clip}; SE = "
        f"SD / sqrt({n}) = {error:.4f}; 95 % of the unclipped mean: {low:.4f} to {high:.4f}"
    )


def plain(thing: Any) -> Any:
    """``thing`` as plain JSON: dataclasses and named tuples by field, a mode by its label."""
    if isinstance(thing, Mode):
        return thing.label
    if is_dataclass(thing) and not isinstance(thing, type):
        return {field.name: plain(getattr(thing, field.name)) for field in fields(thing)}
    if isinstance(thing, tuple) and hasattr(thing, "_asdict"):
        return {name: plain(value) for name, value in thing._asdict().items()}
    if isinstance(thing, Mapping):
        return {str(key): plain(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [plain(value) for value in thing]
    return thing.value if isinstance(thing, Enum) else thing
