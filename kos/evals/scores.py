"""Graded answers, and the scores made of them in named modes.

``GradedAnswer`` is what every number, table and page of an evaluation is made of. A job makes
it of a ``RolloutDone`` (``from_rollout``), the console of its trace and grade rows, and the
command of a line of simple-evals' shape: all three get the same numbers.

=============== ==========================================================================
mode            headline
=============== ==========================================================================
healthbench     mean over prompts, then clipped to [0, 1]
healthbench_len the same on ``score - coef * (chars - center)``, not clipped before the mean
unit            each answer clipped to [0, 1], then the mean
raw             the mean as it is
=============== ==========================================================================

Intervals and comparisons are always taken on unclipped means; numbers of two modes are never
compared. Source: openai/simple-evals, healthbench_eval.py; HealthBench Professional
(arXiv:2604.27470), sec. 4.1.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from math import comb
from statistics import fmean
from typing import TYPE_CHECKING, Literal, NamedTuple

from kos.errors import UserError
from kos.evals.statistics import Estimate, clip_unit, estimate
from kos.events import ItemGrade, RolloutDone

if TYPE_CHECKING:
    # For its type alone: the command that scores a file starts in half the time without pydantic.
    from kos.data.rubrics import RubricTask

Scoring = Literal["healthbench", "healthbench_len", "unit", "raw"]
Failures = Literal["leave_out", "empty"]
# HealthBench Professional: 0.0147 for every 500 characters, no cost at 2,000.
CENTER, COEFFICIENT = 2000.0, 2.94e-5
SCREENING_GRADER = "screening"


@dataclass(frozen=True)
class Mode:
    """How answers become a number. ``center`` is in characters, ``coef`` in score a character."""

    name: Scoring = "healthbench"
    center: float = CENTER
    coef: float = COEFFICIENT

    @property
    def label(self) -> str:
        """The name to print beside every number; two numbers compare only if it is equal."""
        if self.name != "healthbench_len":
            return self.name
        return f"{self.name}(center={self.center:g}, coef={self.coef:g})"

    def of_answer(self, score: float, chars: int) -> float:
        """One answer's value, before any mean."""
        if self.name == "healthbench_len":
            return score - self.coef * (chars - self.center)
        return clip_unit(score) if self.name == "unit" else score

    def headline(self, mean: float) -> float:
        """What is printed for a mean."""
        return clip_unit(mean) if self.name.startswith("healthbench") else mean


class State(StrEnum):
    """Whether an answer has a score, and why not."""

    GRADED = "graded"
    SCREENED = "screened"
    """Only words were compared: a screening, not a score."""
    INCOMPLETE = "incomplete"
    """At least one item has no verdict."""
    FAILED = "failed"
    """The model gave no answer; see ``error``."""
    UNSCORABLE = "unscorable"
    """No item has positive points, so the share is not defined."""


@dataclass(frozen=True)
class GradedAnswer:
    """One answer with its verdicts, and what it is sliced by. Holds no text of the answer.

    ``items`` need ``key, text, points, met, grader`` and ``tags`` (the rubric's: ``axis:*``,
    ``level:*``, ``cluster:*``). ``chars`` is ``len()`` of the visible answer, ``num_tokens``
    its visible tokens. ``example_tags`` are the prompt's own; ``slices`` gives the value of each
    family that divides the prompts ("theme", "use case", "slice", "specialty"). ``restricted``
    says that no text of the prompt, rubric or answer may be shown.
    """

    prompt_id: str
    model: str
    sample: int
    items: tuple[ItemGrade, ...]
    chars: int
    num_tokens: int = 0
    flags: tuple[str, ...] = ()
    error: str = ""
    example_tags: tuple[str, ...] = ()
    slices: Mapping[str, str] = field(default_factory=dict)
    restricted: bool = False
    num_turns: int = 1
    step: int = 0

    @cached_property
    def state(self) -> State:
        """Graded, or what stands in the way."""
        if self.error:
            return State.FAILED
        if any(item.grader == SCREENING_GRADER for item in self.items):
            return State.SCREENED
        if not self.items or any(item.met is None for item in self.items):
            return State.INCOMPLETE
        return State.GRADED if self.share is not None else State.UNSCORABLE

    @cached_property
    def share(self) -> float | None:
        """Points of the met items over the positive points; None without positive points."""
        return share([item for item in self.items if item.met is not None])


def from_rollout(answer: RolloutDone, task: RubricTask) -> GradedAnswer:
    """The graded answer of a job's event, sliced by the task it answers."""
    tags = {item.key: item.tags for item in task.rubric}
    return GradedAnswer(
        prompt_id=answer.example_id,
        model=answer.model,
        sample=answer.sample,
        items=tuple(
            item if item.tags else replace(item, tags=tags.get(item.key, ()))
            for item in answer.items
        ),
        chars=len(answer.answer),
        num_tokens=answer.num_answer_tokens,
        flags=tuple(answer.flags),
        error=answer.error,
        example_tags=task.tags,
        slices=task.slices,
        restricted=task.restricted,
        num_turns=task.n_turns,
        step=answer.step,
    )


def share(items: Iterable[ItemGrade]) -> float | None:
    """Sum of the points of met items over the sum of positive points, not clipped."""
    earned = possible = 0.0
    for item in items:
        if item.points > 0:
            possible += item.points
        if item.met:
            earned += item.points
    return earned / possible if possible else None


def value(
    answer: GradedAnswer, mode: Mode = Mode("raw"), *, failures: Failures = "leave_out"
) -> float | None:
    """The answer's value in ``mode``; None where it has none and is to be left out.

    ``failures="empty"`` scores a failed generation as the empty answer: by its verdicts where
    the empty answer was graded, else as one that meets nothing.
    """
    if answer.state is State.FAILED:
        if failures == "leave_out":
            return None
        is_graded = answer.items and all(item.met is not None for item in answer.items)
        return mode.of_answer((answer.share if is_graded else None) or 0.0, 0)
    if answer.state in (State.GRADED, State.SCREENED) and answer.share is not None:
        return mode.of_answer(answer.share, answer.chars)
    return None


def by_prompt(
    answers: Iterable[GradedAnswer], mode: Mode = Mode("raw"), *, failures: Failures = "leave_out"
) -> dict[str, list[float]]:
    """The values of each prompt's samples; a prompt without one is left out."""
    values: dict[str, list[float]] = defaultdict(list)
    for answer in answers:
        found = value(answer, mode, failures=failures)
        if found is not None:
            values[answer.prompt_id].append(found)
    return dict(values)


def prompt_means(
    answers: Iterable[GradedAnswer], mode: Mode = Mode("raw"), *, failures: Failures = "leave_out"
) -> dict[str, float]:
    """Mean value of each prompt over its samples: the unit of every interval and test."""
    groups = by_prompt(answers, mode, failures=failures)
    return {prompt: fmean(values) for prompt, values in groups.items()}


class Counts(NamedTuple):
    """Denominators: answers asked for, given, and with a score; items without a verdict."""

    requested: int
    answered: int
    graded: int
    failed: int
    incomplete: int
    screened: int
    unscorable: int
    items: int
    ungraded_items: int


def count(answers: Sequence[GradedAnswer]) -> Counts:
    """Count the answers by state."""
    states = Counter(answer.state for answer in answers)
    return Counts(
        requested=len(answers),
        answered=len(answers) - states[State.FAILED],
        graded=states[State.GRADED],
        failed=states[State.FAILED],
        incomplete=states[State.INCOMPLETE],
        screened=states[State.SCREENED],
        unscorable=states[State.UNSCORABLE],
        items=sum(len(answer.items) for answer in answers),
        ungraded_items=sum(item.met is None for answer in answers for item in answer.items),
    )


@dataclass(frozen=True)
class Score:
    """A number with all that must be said beside it.

    ``value`` is the headline, ``estimate`` the unclipped mean over prompts with its interval;
    both are None when nothing was graded.
    """

    mode: Mode
    value: float | None
    estimate: Estimate | None
    counts: Counts

    @property
    def is_clipped(self) -> bool:
        """Whether the headline hides a mean outside [0, 1]."""
        return self.estimate is not None and self.value != self.estimate.mean


def score(
    answers: Sequence[GradedAnswer], mode: Mode, *, failures: Failures = "leave_out"
) -> Score:
    """Score ``answers`` of one model."""
    found = estimate(list(prompt_means(answers, mode, failures=failures).values()))
    headline = None if found is None else mode.headline(found.mean)
    return Score(mode, headline, found, count(answers))


def tag_values(answer: GradedAnswer, overall: float, mode: Mode) -> dict[str, float]:
    """The answer's value under each of its tags, by simple-evals' two rules.

    An example tag carries the overall value. A rubric tag carries the share over its own items
    and none where it has no positive item; when a name is both, the rubric's value stands. In
    ``healthbench_len`` both are adjusted by the whole answer's length.
    """
    values = dict.fromkeys(answer.example_tags, overall)
    earned: dict[str, float] = defaultdict(float)
    possible: dict[str, float] = defaultdict(float)
    for item in answer.items:
        for tag in item.tags:
            if item.points > 0:
                possible[tag] += item.points
            if item.met:
                earned[tag] += item.points
    for tag, points in possible.items():
        values[tag] = mode.of_answer(earned[tag] / points, answer.chars)
    return values


def metric_values(
    answers: Iterable[GradedAnswer], mode: Mode, *, failures: Failures = "leave_out"
) -> dict[str, list[tuple[str, float]]]:
    """(prompt, value) pairs of ``overall_score`` and of each tag, in the order of the answers."""
    found: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for answer in answers:
        overall = value(answer, mode, failures=failures)
        if overall is None:
            continue
        found["overall_score"].append((answer.prompt_id, overall))
        for tag, own in tag_values(answer, overall, mode).items():
            found[tag].append((answer.prompt_id, own))
    return dict(found)


def worst_at_k(groups: Mapping[str, Sequence[float]], k: int) -> float | None:
    """Mean over prompts of the mean over all k-subsets of their lowest value; not clipped.

    Prompts with fewer than ``k`` samples are left out; None when that leaves none.
    Source: simple-evals, healthbench_analysis.ipynb.
    """
    if k < 1:
        raise UserError(f"worst-at-k needs k of 1 or more, found {k}")
    lowest = [_mean_lowest(values, k) for values in groups.values() if len(values) >= k]
    return fmean(lowest) if lowest else None


def _mean_lowest(values: Sequence[float], k: int) -> float:
    # The i-th lowest of n values is the lowest of comb(n - 1 - i, k - 1) of the subsets.
    n = len(values)
    weighted = sum(comb(n - 1 - i, k - 1) * value for i, value in enumerate(sorted(values)))
    return weighted / comb(n, k)


def same_mode(first: Mode, second: Mode) -> Mode:
    """The mode both numbers are in; raises UserError when they are in two."""
    if first.label != second.label:
        raise UserError(
            f"one number is in mode {first.label}, the other in {second.label}; score both "
            "again in one mode to compare them"
        )
    return first
