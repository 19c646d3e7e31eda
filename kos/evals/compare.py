"""Two runs on the prompts they share: paired statistics, and where the difference comes from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from kos.errors import UserError
from kos.evals.scores import Failures, GradedAnswer, Mode, prompt_means, same_mode, value
from kos.evals.slices import Partition, SliceRow, families_of, partition
from kos.evals.statistics import Comparison, Line, compare, fit, mcnemar_p

BIN_WIDTH = 0.1
LENGTH_MATCH = 0.10
# Share of samples by which an item's verdict must have moved to count as flipped.
FLIPPED = 0.5


@dataclass(frozen=True)
class Setting:
    """What two runs must have in common for their difference to mean anything.

    ``dataset`` is the version's digest, ``judge`` who gave the verdicts; "" is not known.
    """

    dataset: str = ""
    judge: str = ""


class Flip(NamedTuple):
    """A rubric item whose verdict moved. ``before`` and ``after`` are shares of samples met.

    ``change`` is what the move did, in points. ``text`` is empty for restricted prompts.
    """

    key: str
    text: str
    points: float
    before: float
    after: float
    change: float


@dataclass(frozen=True)
class Moved:
    """One prompt, before and after, with the items that flipped, costliest first."""

    prompt_id: str
    before: float
    after: float
    delta: float
    chars_before: float
    chars_after: float
    flips: tuple[Flip, ...]
    restricted: bool


class Bar(NamedTuple):
    """Prompts whose difference lies in [low, high)."""

    low: float
    high: float
    n: int


class FailureChange(NamedTuple):
    """One flag over the answers both runs gave; ``p`` is exact McNemar's."""

    flag: str
    before: int
    after: int
    only_before: int
    only_after: int
    n: int
    p: float


class WinRate(NamedTuple):
    """Share of sample pairs the candidate wins, ties dropped; None when none is left."""

    rate: float | None
    wins: int
    losses: int
    ties: int


@dataclass(frozen=True)
class Compared:
    """Everything the compare page shows. Differences are candidate minus baseline."""

    mode: Mode
    seed: int
    overall: Comparison | None
    only_candidate: int
    only_baseline: int
    forest: tuple[Partition, ...]
    histogram: tuple[Bar, ...]
    regressions: tuple[Moved, ...]
    gains: tuple[Moved, ...]
    length: Line
    """Change in score against change in characters, prompt by prompt."""
    points: tuple[tuple[float, float], ...]
    wins: WinRate
    matched_wins: WinRate
    failures: tuple[FailureChange, ...]


def compare_runs(
    candidate: Sequence[GradedAnswer],
    baseline: Sequence[GradedAnswer],
    mode: Mode,
    *,
    seed: int = 0,
    failures: Failures = "leave_out",
    shown: int = 20,
) -> Compared:
    """Compare two runs scored in one mode; ``shown`` regressions and gains are kept each."""
    after = prompt_means(candidate, mode, failures=failures)
    before = prompt_means(baseline, mode, failures=failures)
    shared = sorted(after.keys() & before.keys())
    moved = _moved(shared, before, after, candidate, baseline)
    ours, theirs = _only(candidate, shared), _only(baseline, shared)
    points = tuple((row.chars_after - row.chars_before, row.delta) for row in moved)
    ordered = sorted(moved, key=lambda row: row.delta)
    return Compared(
        mode=mode,
        seed=seed,
        overall=compare(after, before, seed),
        only_candidate=len(after) - len(shared),
        only_baseline=len(before) - len(shared),
        forest=tuple(
            partition(ours, family, mode, baseline=theirs, failures=failures)
            for family in families_of(ours)
        ),
        histogram=histogram([row.delta for row in moved]),
        regressions=tuple(row for row in ordered[:shown] if row.delta < 0),
        gains=tuple(row for row in ordered[::-1][:shown] if row.delta > 0),
        length=fit([x for x, _ in points], [y for _, y in points]),
        points=points,
        wins=win_rate(ours, theirs, mode, failures=failures),
        matched_wins=win_rate(ours, theirs, mode, failures=failures, match=LENGTH_MATCH),
        failures=failure_changes(candidate, baseline),
    )


def refuse_unlike(
    candidate: tuple[Mode, Setting], baseline: tuple[Mode, Setting], *, confirmed: bool = False
) -> None:
    """Raise UserError when the runs differ in mode or, unless ``confirmed``, in their setting."""
    same_mode(candidate[0], baseline[0])
    unlike = [
        f"{name} ({theirs[:12]} and {ours[:12]})"
        for name, ours, theirs in (
            ("dataset version", candidate[1].dataset, baseline[1].dataset),
            ("judge", candidate[1].judge, baseline[1].judge),
        )
        if ours and theirs and ours != theirs
    ]
    if unlike and not confirmed:
        raise UserError(
            f"the runs differ in {' and '.join(unlike)}, so their difference is not the "
            "models' alone; confirm to compare them all the same"
        )


def judges_of(answers: Iterable[GradedAnswer]) -> str:
    """Who gave the verdicts, by name; deterministic checks are not judges."""
    names = {item.grader for answer in answers for item in answer.items}
    return ", ".join(sorted(names - {"check", "verifier", ""}))


def histogram(deltas: Sequence[float]) -> tuple[Bar, ...]:
    """Prompts by difference, in bins of a tenth, from the lowest to the highest found."""
    if not deltas:
        return ()
    places = [_bin(delta) for delta in deltas]
    return tuple(
        Bar(round(place * BIN_WIDTH, 9), round((place + 1) * BIN_WIDTH, 9), places.count(place))
        for place in range(min(places), max(places) + 1)
    )


def _bin(delta: float) -> int:
    # A difference of 0.3 is stored as 0.29999..: without the nudge it falls a bin too low.
    return int((delta + 1e-9) // BIN_WIDTH)


def flips(candidate: Sequence[GradedAnswer], baseline: Sequence[GradedAnswer]) -> tuple[Flip, ...]:
    """Items of one prompt whose verdict moved in half of the samples or more, costliest first."""
    after, before = _met(candidate), _met(baseline)
    found = []
    for key, (points, text, share) in after.items():
        if key in before and abs(share - before[key][2]) >= FLIPPED:
            was = before[key][2]
            found.append(Flip(key, text, points, was, share, points * (share - was)))
    return tuple(sorted(found, key=lambda flip: flip.change))


def _met(answers: Sequence[GradedAnswer]) -> dict[str, tuple[float, str, float]]:
    """Points, text and share of samples met, by item key."""
    met: dict[str, list[bool]] = defaultdict(list)
    said: dict[str, tuple[float, str]] = {}
    for answer in answers:
        for item in answer.items:
            if item.met is not None:
                met[item.key].append(item.met)
                said[item.key] = item.points, "" if answer.restricted else item.text
    return {key: (*said[key], fmean(values)) for key, values in met.items()}


def win_rate(
    candidate: Sequence[GradedAnswer],
    baseline: Sequence[GradedAnswer],
    mode: Mode,
    *,
    failures: Failures = "leave_out",
    match: float | None = None,
) -> WinRate:
    """All pairs of samples of each prompt; ties are counted and dropped from the rate.

    ``match`` keeps pairs whose lengths differ by at most that share of their mean.
    Source: simple-evals, healthbench_analysis.ipynb.
    """
    theirs: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for prompt, score, chars in _scored(baseline, mode, failures):
        theirs[prompt].append((score, chars))
    wins = losses = ties = 0
    for prompt, score, chars in _scored(candidate, mode, failures):
        for other, other_chars in theirs.get(prompt, ()):
            if match is None or abs(chars - other_chars) <= match * (chars + other_chars) / 2:
                wins += score > other
                losses += score < other
                ties += score == other
    return WinRate(wins / (wins + losses) if wins + losses else None, wins, losses, ties)


def failure_changes(
    candidate: Sequence[GradedAnswer], baseline: Sequence[GradedAnswer]
) -> tuple[FailureChange, ...]:
    """Each flag either run raised, over the answers with the same prompt and sample number."""
    after = {(answer.prompt_id, answer.sample): answer for answer in candidate}
    before = {(answer.prompt_id, answer.sample): answer for answer in baseline}
    shared = sorted(after.keys() & before.keys())
    names = {flag for key in shared for flag in (*after[key].flags, *before[key].flags)}
    return tuple(_failure_change(name, shared, before, after) for name in sorted(names))


def _failure_change(
    flag: str,
    shared: Sequence[tuple[str, int]],
    before: Mapping[tuple[str, int], GradedAnswer],
    after: Mapping[tuple[str, int], GradedAnswer],
) -> FailureChange:
    had = {key for key in shared if flag in before[key].flags}
    has = {key for key in shared if flag in after[key].flags}
    p = mcnemar_p(len(had - has), len(has - had))
    return FailureChange(flag, len(had), len(has), len(had - has), len(has - had), len(shared), p)


def forest_rows(compared: Compared) -> list[SliceRow]:
    """The slices of all families as the rows of one forest plot."""
    return [row for family in compared.forest for row in family.rows if row.delta is not None]


def _scored(
    answers: Iterable[GradedAnswer], mode: Mode, failures: Failures
) -> Iterable[tuple[str, float, int]]:
    for answer in answers:
        found = value(answer, mode, failures=failures)
        if found is not None:
            yield answer.prompt_id, found, answer.chars


def _only(answers: Sequence[GradedAnswer], prompts: Sequence[str]) -> list[GradedAnswer]:
    kept = set(prompts)
    return [answer for answer in answers if answer.prompt_id in kept]


def _moved(
    shared: Sequence[str],
    before: Mapping[str, float],
    after: Mapping[str, float],
    candidate: Sequence[GradedAnswer],
    baseline: Sequence[GradedAnswer],
) -> list[Moved]:
    ours, theirs = _grouped(candidate), _grouped(baseline)
    return [
        Moved(
            prompt_id=prompt,
            before=before[prompt],
            after=after[prompt],
            delta=after[prompt] - before[prompt],
            chars_before=fmean(answer.chars for answer in theirs[prompt]),
            chars_after=fmean(answer.chars for answer in ours[prompt]),
            flips=flips(ours[prompt], theirs[prompt]),
            restricted=any(answer.restricted for answer in ours[prompt]),
        )
        for prompt in shared
    ]


def _grouped(answers: Iterable[GradedAnswer]) -> dict[str, list[GradedAnswer]]:
    groups: dict[str, list[GradedAnswer]] = defaultdict(list)
    for answer in answers:
        groups[answer.prompt_id].append(answer)
    return groups
