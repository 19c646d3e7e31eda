"""How the numbers of a length bonus move over a training, as a table of moments and values.

The table is the curriculum's lines in another form (``output.free 0.5:900 1:700``): a column a
moment, a row a number, an empty cell where the line between its neighbours goes through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from kos.rl.rewards.conciseness import NUMBERS, STAGE_2
from kos.rl.schedules import Curve

PREFIX = "course"
MAX_MOMENTS = 6
USUAL = (0.5, 1.0)
LABELS = {
    "gate": "Gate",
    "response.free": "All tokens, full up to",
    "response.maximum": "All tokens, none from",
    "response.beta": "All tokens, full bonus",
    "output.free": "Visible answer, full up to",
    "output.maximum": "Visible answer, none from",
    "output.beta": "Visible answer, full bonus",
}


class Row(NamedTuple):
    """A number: the field of its start, and its value at each moment, as typed."""

    name: str
    label: str
    start_name: str
    start: str
    cells: list[tuple[str, str]]


class Course(NamedTuple):
    """The table: the moments as typed, and a row a number."""

    moments: list[tuple[str, str]]
    rows: list[Row]


def table(data: Mapping[str, Any], path: str) -> Course:
    """The table of the bonus at ``path`` of the form ``data``: as typed, or from its lines."""
    typed = _typed_moments(data)
    curves = {} if typed else _curves(data, path)
    moments = typed or _moments(curves.values())
    columns = [
        (f"{PREFIX}-at-{place}", moment) for place, moment in enumerate(moments[:MAX_MOMENTS])
    ]
    return Course(columns, [_row(data, path, name, curves.get(name), moments) for name in NUMBERS])


def with_lines(data: Mapping[str, Any], path: str) -> dict[str, str]:
    """``data`` with the table's cells as the curriculum's lines, and without the cells."""
    kept = {name: str(data[name]) for name in data if not name.startswith(f"{PREFIX}-")}
    moments = _typed_moments(data)
    if not moments:
        return kept
    lines = []
    for name in NUMBERS:
        knots = [
            (moment, value)
            for place, moment in enumerate(moments)
            if (value := str(data.get(cell_name(name, place), "")).strip())
        ]
        # In the order of the moments, however their columns stand; what is no number is left
        # as it is, for the config to say so.
        lines += [" ".join([name, *(f"{at}:{value}" for at, value in _ordered(knots))])][
            : len(knots)
        ]
    return kept | {f"{path}-curriculum": "\n".join(lines)}


def with_moment(data: Mapping[str, Any], path: str) -> dict[str, str]:
    """``data`` with a column more, in the middle of the widest gap."""
    moments = [moment for _, moment in table(data, path).moments]
    if len(moments) >= MAX_MOMENTS:
        return {name: str(data[name]) for name in data}
    places = [0.0, *sorted(_number(moment) for moment in moments)]
    gap, start = max((after - before, before) for before, after in pairwise(places))
    filled = _filled(data, path)
    return filled | {f"{PREFIX}-at-{len(moments)}": f"{start + gap / 2:g}"}


def like_stage_2(data: Mapping[str, Any], path: str) -> dict[str, str]:
    """``data`` with the course of Kos-1 Experimental's second stage."""
    kept = {name: str(data[name]) for name in data if not name.startswith(f"{PREFIX}-")}
    return kept | {f"{path}-curriculum": "\n".join(STAGE_2)}


def constant(data: Mapping[str, Any], path: str) -> dict[str, str]:
    """``data`` with nothing that moves."""
    return like_stage_2(data, path) | {f"{path}-curriculum": ""}


def cell_name(number: str, place: int) -> str:
    """The field of a number at a moment."""
    return f"{PREFIX}-{number.replace('.', '_')}-{place}"


def _filled(data: Mapping[str, Any], path: str) -> dict[str, str]:
    """``data`` with every cell of its table as a field."""
    course = table(data, path)
    cells = dict(course.moments) | {
        name: value for row in course.rows for name, value in row.cells
    }
    return {name: str(data[name]) for name in data} | cells


def _row(
    data: Mapping[str, Any], path: str, name: str, curve: Curve | None, moments: list[str]
) -> Row:
    start_name = f"{path}-{name.replace('.', '-')}"
    start = str(data.get(start_name, ""))
    if curve is not None and curve.knots[0].progress == 0:
        start = f"{curve.knots[0].value:g}"
    known = {f"{knot.progress:g}": f"{knot.value:g}" for knot in curve or ()}
    cells = [
        (cell, str(data.get(cell, known.get(moment, ""))))
        for place, moment in enumerate(moments[:MAX_MOMENTS])
        for cell in [cell_name(name, place)]
    ]
    return Row(name, LABELS[name], start_name, start, cells)


def _typed_moments(data: Mapping[str, Any]) -> list[str]:
    names = [f"{PREFIX}-at-{place}" for place in range(MAX_MOMENTS)]
    return [str(data[name]).strip() for name in names if name in data]


def _moments(curves: Iterable[Curve]) -> list[str]:
    found = {knot.progress for curve in curves for knot in curve if knot.progress > 0}
    return [f"{moment:g}" for moment in sorted(found or USUAL)]


def _curves(data: Mapping[str, Any], path: str) -> dict[str, Curve]:
    """The curves in the lines; a line that cannot be read is left to the config to complain of."""
    found = {}
    for line in str(data.get(f"{path}-curriculum", "")).splitlines():
        name, _, knots = line.strip().partition(" ")
        try:
            curve = Curve.parse(knots)
        except ValueError:
            continue
        if name in NUMBERS:
            found[name] = curve
    return found


def _ordered(knots: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(knots, key=lambda knot: _number(knot[0]))


def _number(text: str) -> float:
    return float(text) if re.fullmatch(r"\d*\.?\d+", text) else 2.0
