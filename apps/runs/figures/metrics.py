"""The numbers of a run as rows: recorded by its worker, read back thinned for the charts.

A step is recorded under the run's lock, in the transaction of its event. Reads go through the
table's key alone, which leads with the run and the name and holds the value and the time.
"""

from __future__ import annotations

import json
import math
import sys
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from django.db import connection

from apps.runs.figures import statements
from apps.runs.figures.numbers import Step
from apps.runs.models import Metric, Run

POINTS = 2000
SPARK_POINTS = 40
AT_ONCE = 8
MAX_NAME = Metric._meta.get_field("name").max_length or 0


class Done(NamedTuple):
    """The numbers of one finished step; ``at`` is when it was."""

    step: int
    metrics: Mapping[str, float | None]
    at: datetime


class Curve(NamedTuple):
    """One metric over its steps. None is a number that was not finite; ``at`` is in epoch seconds.

    A thinned curve has the lowest and the highest number of every few steps, and ``means`` beside
    each point the mean of its few; otherwise the means are the values. ``num_values``
    is how many there are in all.
    """

    steps: list[int]
    values: list[float | None]
    at: list[float]
    means: list[float | None]
    num_values: int
    is_thinned: bool


class Ends(NamedTuple):
    """The first and the last step of a metric."""

    first: int
    last: int


class Packed(NamedTuple):
    """The columns of one metric, each in one piece: rows would cost ten times as much to read."""

    steps: bytes
    values: bytes
    at: bytes


def record(run: Run, step: int, metrics: Mapping[str, float | None], at: datetime) -> None:
    """Keep the numbers of one step of a locked run; one done again loses its first ones."""
    record_steps(run, [Done(step, metrics, at)])


def record_steps(run: Run, done: Iterable[Done]) -> None:
    """Keep the numbers of these steps of a locked run; the last of a step's numbers count."""
    latest = {one.step: one for one in done}
    if not latest:
        return
    _forget(run, sorted(latest))
    # By name and not by step: rows that are read together are written together.
    rows: dict[str, list[str]] = defaultdict(list)
    for one in latest.values():
        at = one.at.isoformat()
        for name, value in one.metrics.items():
            text = "\\N" if value is None or not math.isfinite(value) else repr(float(value))
            rows[_escaped(name)].append(f"{one.step}\t{text}\t{at}\n")
    # Django calls the errors of its own statements by its own names; a COPY goes past it.
    called_djangos = connection.wrap_database_errors
    with connection.cursor() as cursor, called_djangos, cursor.copy(statements.COPY) as copy:
        for name, told in rows.items():
            before = f"{run.pk}\t{name}\t"
            copy.write(before + before.join(told))


def names(run: Run) -> list[str]:
    """The run's metrics, in order."""
    with connection.cursor() as cursor:
        cursor.execute(statements.NAMES, {"run": run.pk})
        return sorted(name for (name,) in cursor.fetchall())


def ends(run: Run, wanted: Sequence[str]) -> dict[str, Ends]:
    """Where each of the metrics begins and ends; those it lacks are left out."""
    with connection.cursor() as cursor:
        cursor.execute(statements.ENDS, {"run": run.pk, "names": [*wanted]})
        return {name: Ends(first, last) for name, first, last in cursor.fetchall()}


def series(
    run: Run,
    wanted: Sequence[str] | None = None,
    *,
    points: int = POINTS,
    after: int | None = None,
    until: int | None = None,
    is_averaged: bool = False,
) -> dict[str, Curve]:
    """Each metric by step, at most about ``points`` of it: beyond that the lowest and the highest
    number of every few steps, and the first and last as they are.

    ``after`` and ``until`` cut a range out, steps ``after + 1`` to ``until``. ``is_averaged``
    thins to the mean of every few steps, at the same steps for all metrics: what is piled up must
    stand on one spot.
    """
    chosen = [*wanted] if wanted is not None else names(run)
    spans = [*ends(run, chosen).values()]
    if not spans:
        return {}
    first, last = min(one.first for one in spans), max(one.last for one in spans)
    first = first if after is None else max(first, after + 1)
    last = last if until is None else min(last, until)
    length = max(0, last - first + 1)
    given: dict[str, Any] = {"run": run.pk, "first": first, "last": last}
    if is_averaged and length > points:
        found = _averaged(given | {"names": chosen, "width": math.ceil(length / points)})
    else:
        # A few at a time: a metric of a long run comes in a megabyte.
        few = [chosen[place : place + AT_ONCE] for place in range(0, len(chosen), AT_ONCE)]
        found = {
            name: _curve(packed, points)
            for wanted in few
            for name, packed in _packed(given | {"names": wanted})
        }
    return {name: found[name] for name in chosen if name in found}


def spark(
    runs: Iterable[Run], name: str | Sequence[str], *, points: int = SPARK_POINTS
) -> dict[int, list[float]]:
    """A small curve a run: ``points`` evenly spaced numbers of ``name``, by the run's number.

    Of several names each run takes the first that it has. One query, whatever the length.
    """
    wanted = [name] if isinstance(name, str) else [*name]
    given: dict[str, Any] = {
        "runs": [run.pk for run in runs],
        "names": wanted,
        "points": points - 1,
    }
    found: dict[int, list[float]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(statements.SPARK, given)
        for run_id, value in cursor.fetchall():
            found[run_id].append(value)
    return {**found}


def steps(
    run: Run, wanted: Sequence[str] | None = None, *, after: int = -1, until: int | None = None
) -> list[Step]:
    """Whole steps with their numbers, in order, from ``after + 1`` to ``until``."""
    chosen = [*wanted] if wanted is not None else names(run)
    given: dict[str, Any] = {"run": run.pk, "names": chosen, "after": after, "until": until}
    with connection.cursor() as cursor:
        cursor.execute(statements.STEPS, given)
        # As text in one piece a step: a row a number would cost ten times as much.
        return [Step(number, json.loads(told)) for number, told in cursor.fetchall()]


def last_step(run: Run) -> int | None:
    """The run's newest step with numbers."""
    found = ends(run, names(run))
    return max((one.last for one in found.values()), default=None)


def totals(run: Run, folders: Sequence[str]) -> dict[str, float]:
    """The sum over all steps of every metric below ``folders`` (``tokens/``)."""
    chosen = [name for name in names(run) if name.startswith(tuple(folders))]
    with connection.cursor() as cursor:
        cursor.execute(statements.TOTALS, {"run": run.pk, "names": chosen})
        return {name: total or 0.0 for name, total in cursor.fetchall()}


def lasts(run: Run) -> dict[str, float | None]:
    """Every metric's last number."""
    with connection.cursor() as cursor:
        cursor.execute(statements.LASTS, {"run": run.pk, "names": names(run)})
        return dict(cursor.fetchall())


def _forget(run: Run, done: Sequence[int]) -> None:
    """Drop what earlier tries of these steps left: the new one need not have the same metrics."""
    known = [name for name, (_, last) in ends(run, names(run)).items() if last >= done[0]]
    if known:
        given: dict[str, Any] = {"run": run.pk, "names": known, "steps": [*done]}
        given |= {"low": done[0], "high": done[-1]}
        with connection.cursor() as cursor:
            cursor.execute(statements.FORGET, given)


def _averaged(given: Mapping[str, Any]) -> dict[str, Curve]:
    with connection.cursor() as cursor:
        cursor.execute(statements.AVERAGED, given)
        return {
            name: Curve(numbers, values, at, values, int(count), int(count) > len(numbers))
            for name, numbers, values, at, count in cursor.fetchall()
        }


def _packed(given: Mapping[str, Any]) -> Iterator[tuple[str, Packed]]:
    with connection.cursor() as cursor:
        cursor.execute(statements.PACKED, given)
        for name, *columns in cursor.fetchall():
            if columns[0]:
                yield name, Packed(*(bytes(column) for column in columns))


def _curve(packed: Packed, points: int) -> Curve:
    steps, values, at = _read("i", packed.steps), _read("d", packed.values), _read("q", packed.at)
    means = _thinned(values, points) if len(steps) > points else dict(enumerate(values))
    kept = sorted(means)
    return Curve(
        steps=[steps[place] for place in kept],
        values=[_finite(values[place]) for place in kept],
        at=[round(at[place] / 1e6 + YEAR_2000, 3) for place in kept],
        means=[_finite(means[place]) for place in kept],
        num_values=len(steps),
        is_thinned=len(kept) < len(steps),
    )


def _thinned(values: list[float], points: int) -> dict[int, float]:
    """The places of the lowest and the highest of every few values, with the mean of the few."""
    few = math.ceil(2 * len(values) / max(points, 4))
    # The ends stay, whatever they are.
    ends = (0, len(values) - 1)
    kept = {place: values[place] for place in ends}
    has_holes = math.isnan(sum(values))
    for first in range(0, len(values), few):
        part = values[first : first + few]
        if has_holes:
            part = [value for value in part if value == value]
            if not part:
                continue
        mean = sum(part) / len(part)
        lowest, highest = values.index(min(part), first), values.index(max(part), first)
        for place in (lowest, highest, *(end for end in ends if first <= end < first + few)):
            kept[place] = mean
    return kept


def _read(kind: Literal["i", "q", "d"], packed: bytes) -> list[Any]:
    """Numbers as the database sends them: the most significant byte first."""
    found = array(kind)
    found.frombytes(packed)
    if sys.byteorder == "little":
        found.byteswap()
    return found.tolist()


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value


def _escaped(name: str) -> str:
    """As a field of COPY's text format, and no longer than the column."""
    return name[:MAX_NAME].translate(ESCAPES)


# What the database counts the microseconds of a time from, in epoch seconds.
YEAR_2000 = 946_684_800
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
