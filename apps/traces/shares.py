"""A share over the steps of a run as a small picture: places in a drawing of fixed size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 320, 96
LEFT, RIGHT, TOP, BOTTOM = 34, 8, 8, 18
# Neighbouring steps are drawn as one from here on.
MOST_POINTS = 80


class Point(NamedTuple):
    x: float
    y: float
    label: str


class Curve(NamedTuple):
    """``path`` joins the points; ``first`` and ``last`` are the steps at its ends."""

    path: str
    points: Sequence[Point]
    first: int
    last: int
    label: str


def curve(rows: Sequence[tuple[int, int, int]]) -> Curve:
    """The share met of each step; ``rows`` has the step, how many were graded and how many met."""
    size = -(-len(rows) // MOST_POINTS) or 1
    bins = [rows[at : at + size] for at in range(0, len(rows), size)]
    first, last = rows[0][0], rows[-1][0]
    points = []
    for part in bins:
        num, met = sum(row[1] for row in part), sum(row[2] for row in part)
        steps = f"step {part[0][0]}" if len(part) == 1 else f"steps {part[0][0]} to {part[-1][0]}"
        middle = (part[0][0] + part[-1][0]) / 2
        share = met / num
        label = f"{steps}: met {met} of {num} times ({share:.0%})"
        points.append(Point(_x(middle, first, last), _y(share), label))
    path = " ".join(f"{'L' if at else 'M'}{p.x},{p.y}" for at, p in enumerate(points))
    ends = [bins[0], bins[-1]]
    shares = [sum(row[2] for row in part) / sum(row[1] for row in part) for part in ends]
    said = f"Met {shares[0]:.0%} of the time at step {first}, {shares[1]:.0%} at step {last}"
    return Curve(path, points, first, last, said)


def _x(step: float, first: int, last: int) -> float:
    part = (step - first) / (last - first) if last > first else 0.5
    return round(LEFT + part * (WIDTH - LEFT - RIGHT), 1)


def _y(share: float) -> float:
    return round(TOP + (1 - share) * (HEIGHT - TOP - BOTTOM), 1)
