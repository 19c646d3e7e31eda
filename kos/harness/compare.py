"""The single agent against the swarm: the same questions, the same endpoint, in turns.

Speed is only told beside the score: a swarm that is quick and wrong has won nothing. Questions
are the unit of the intervals; repeats of one question are averaged first.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import NamedTuple

from kos.errors import UserError
from kos.harness.events import TurnDone
from kos.harness.loop import Harness
from kos.harness.metrics import Metrics, measure
from kos.messages import Message

WIDE = Path(__file__).with_name("data") / "wide.jsonl"
MIN_REPEATS = 3
NUM_RESAMPLES = 2_000
THRESHOLDS = (0.3, 0.5, 0.7, 0.9)


class Item(NamedTuple):
    """One fact a question asks for: met by a line that names it and one of ``any_of``."""

    name: str
    any_of: tuple[str, ...]


class Question(NamedTuple):
    """A wide question: many independent parts, each with its own short answer."""

    id: str
    sort: str
    text: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Attempt:
    """One question asked once. ``score`` is None where the run failed; ``error`` says how."""

    arm: str
    question_id: str
    repeat: int
    score: float | None
    seconds: float
    metrics: Metrics | None
    flags: tuple[str, ...] = ()
    error: str = ""


class Estimate(NamedTuple):
    """A number with its bootstrap interval (95 %, over questions)."""

    value: float
    low: float
    high: float


Scorer = Callable[[Question, str], float]


def load(path: Path = WIDE) -> list[Question]:
    """The questions of a file; by default our own twenty wide ones."""
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return [
        Question(
            row["id"],
            row["sort"],
            row["question"],
            tuple(Item(item["name"], tuple(item["any"])) for item in row["items"]),
        )
        for row in rows
    ]


def score(question: Question, answer: str) -> float:
    """The share of the question's items that the answer has, 0 to 1."""
    lines = answer.lower().splitlines()
    return fmean(any(_says(line, item) for line in lines) for item in question.items)


async def compare(
    arms: Mapping[str, Harness],
    questions: Sequence[Question],
    *,
    repeats: int = MIN_REPEATS,
    scorer: Scorer = score,
    on_attempt: Callable[[Attempt], None] | None = None,
) -> list[Attempt]:
    """Ask every question of every arm, ``repeats`` times, each time another arm first.

    One at a time, for arms that compete for the server would measure each other. Raises
    ``UserError`` for fewer than three repeats; a run that fails is an attempt without a score.
    """
    if repeats < MIN_REPEATS:
        raise UserError(f"{repeats} repeats say nothing about noise; take {MIN_REPEATS} or more.")
    names = list(arms)
    attempts = []
    for repeat in range(repeats):
        for place, question in enumerate(questions):
            first = (repeat + place) % len(names)
            for name in [*names[first:], *names[:first]]:
                attempt = await _ask(name, arms[name], question, repeat, scorer)
                attempts.append(attempt)
                if on_attempt is not None:
                    on_attempt(attempt)
    return attempts


def mean_of(attempts: Sequence[Attempt], arm: str, name: str) -> float:
    """The mean over questions of a number of ``Metrics``, or of "score" or "seconds"."""
    return fmean(_by_question(attempts, arm, name).values())


def speedup(attempts: Sequence[Attempt], slow: str, fast: str, *, name: str) -> Estimate:
    """How many times less of ``name`` (seconds, critical_steps, …) ``fast`` takes in all."""
    return _paired(attempts, slow, fast, name, lambda a, b: sum(a) / max(sum(b), 1e-9))


def difference(attempts: Sequence[Attempt], base: str, other: str, *, name: str) -> Estimate:
    """How much more of ``name`` ``other`` has, on average."""
    return _paired(attempts, base, other, name, lambda a, b: fmean(b) - fmean(a))


def time_to_score(
    attempts: Sequence[Attempt], arm: str, thresholds: Sequence[float] = THRESHOLDS
) -> list[tuple[float, float, float | None]]:
    """For each threshold: the share of attempts that reach it, and their median seconds."""
    own = [one for one in attempts if one.arm == arm]
    rows = []
    for threshold in thresholds:
        reached = [one.seconds for one in own if one.score is not None and one.score >= threshold]
        rows.append((threshold, len(reached) / len(own), median(reached) if reached else None))
    return rows


async def _ask(
    name: str, harness: Harness, question: Question, repeat: int, scorer: Scorer
) -> Attempt:
    done = None
    try:
        async for event in harness.run([Message("user", question.text)]):
            if isinstance(event, TurnDone):
                done = event
    except UserError as error:
        return Attempt(name, question.id, repeat, None, 0.0, None, error=str(error))
    assert done is not None, "the loop ended without TurnDone"
    return Attempt(
        name,
        question.id,
        repeat,
        scorer(question, done.message.content),
        done.seconds,
        measure(done.turns, done.tools),
        done.flags,
    )


def _by_question(attempts: Sequence[Attempt], arm: str, name: str) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for one in attempts:
        value = getattr(one if name in ("score", "seconds") else one.metrics, name, None)
        if one.arm == arm and value is not None and not one.error:
            found.setdefault(one.question_id, []).append(float(value))
    if not found:
        raise UserError(f"No attempt of {arm!r} ended; there is nothing to compare.")
    return {key: fmean(values) for key, values in found.items()}


def _paired(
    attempts: Sequence[Attempt],
    left: str,
    right: str,
    name: str,
    statistic: Callable[[Sequence[float], Sequence[float]], float],
) -> Estimate:
    a, b = _by_question(attempts, left, name), _by_question(attempts, right, name)
    both = sorted(a.keys() & b.keys())
    draw = random.Random(0)  # noqa: S311  a bootstrap, the same every time
    values = []
    for _ in range(NUM_RESAMPLES):
        sample = draw.choices(both, k=len(both))
        values.append(statistic([a[key] for key in sample], [b[key] for key in sample]))
    values.sort()
    value = statistic([a[key] for key in both], [b[key] for key in both])
    return Estimate(
        value, values[int(0.025 * NUM_RESAMPLES)], values[int(0.975 * NUM_RESAMPLES) - 1]
    )


def _says(line: str, item: Item) -> bool:
    names = [part.strip().lower() for part in item.name.split(" + ")]
    if not all(name in line for name in names):
        return False
    return any(re.search(rf"\b{re.escape(term.lower())}", line) for term in item.any_of)
