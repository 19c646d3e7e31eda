"""Where the marks of a page's pictures lie: plain numbers for SVG, no style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

MINUS = "\N{MINUS SIGN}"
HEAT_STEPS = 5


class Tick(NamedTuple):
    """A place on an axis and what stands there."""

    at: float
    text: str


class Dot(NamedTuple):
    """A point of a scatter."""

    x: float
    y: float


@dataclass(frozen=True)
class Axes:
    """Maps values to a picture of ``width`` by ``height`` with room for the labels."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    width: float = 640
    height: float = 220
    left: float = 44
    bottom: float = 26
    top: float = 8
    right: float = 10

    def x(self, value: float) -> float:
        """How far from the left."""
        span = (self.x_high - self.x_low) or 1
        room = self.width - self.left - self.right
        return round(self.left + (value - self.x_low) / span * room, 1)

    def y(self, value: float) -> float:
        """How far from the top."""
        span = (self.y_high - self.y_low) or 1
        room = self.height - self.top - self.bottom
        return round(self.height - self.bottom - (value - self.y_low) / span * room, 1)

    @property
    def floor(self) -> float:
        """Where the horizontal axis lies."""
        return self.height - self.bottom

    @property
    def end(self) -> float:
        """Where the picture ends on the right."""
        return self.width - self.right


@dataclass(frozen=True)
class Scatter:
    """Points with their line."""

    axes: Axes
    dots: list[Dot]
    line: tuple[Dot, Dot] | None
    x_ticks: list[Tick]
    y_ticks: list[Tick]


def scatter(points: Sequence[Sequence[float]], line: Mapping[str, Any]) -> Scatter | None:
    """A scatter with the fitted line; None for no points."""
    if not points:
        return None
    xs, ys = [point[0] for point in points], [point[1] for point in points]
    x_low, x_high = min(0.0, *xs), max(xs)
    axes = Axes(x_low, x_high, min(0.0, *ys), max(1.0, *ys))
    ends = None
    if line["r"] is not None:
        ends = _line(axes, line["intercept"], line["slope"], min(xs), max(xs))
    return Scatter(
        axes=axes,
        dots=[Dot(axes.x(x), axes.y(y)) for x, y in points],
        line=ends,
        x_ticks=[Tick(axes.x(value), f"{value:g}") for value in steps(axes.x_low, axes.x_high)],
        y_ticks=[Tick(axes.y(value), _short(value)) for value in steps(axes.y_low, axes.y_high)],
    )


def differences(points: Sequence[Sequence[float]], line: Mapping[str, Any]) -> Scatter | None:
    """Change in score against change in characters, both around zero."""
    if not points:
        return None
    reach_x = max(1.0, *(abs(point[0]) for point in points))
    reach_y = max(0.1, *(abs(point[1]) for point in points))
    axes = Axes(-reach_x, reach_x, -reach_y, reach_y)
    ends = None
    if line["r"] is not None:
        low, high = min(point[0] for point in points), max(point[0] for point in points)
        ends = _line(axes, line["intercept"], line["slope"], low, high)
    return Scatter(
        axes=axes,
        dots=[Dot(axes.x(x), axes.y(y)) for x, y in points],
        line=ends,
        x_ticks=[Tick(axes.x(value), _short(value)) for value in steps(-reach_x, reach_x)],
        y_ticks=[Tick(axes.y(value), _short(value)) for value in steps(-reach_y, reach_y)],
    )


def _line(
    axes: Axes, intercept: float, slope: float, low: float, high: float
) -> tuple[Dot, Dot] | None:
    """The piece of the line inside the picture; None where it runs above or below all points."""
    if slope:
        bounds = sorted((edge - intercept) / slope for edge in (axes.y_low, axes.y_high))
        low, high = max(low, bounds[0]), min(high, bounds[1])
    if high <= low:
        return None
    ends = [Dot(axes.x(x), axes.y(intercept + slope * x)) for x in (low, high)]
    return ends[0], ends[1]


class ErrorDot(NamedTuple):
    """A bin of answers: the judge's error with its interval, people's own beside it."""

    x: float
    y: float
    low: float
    high: float
    people: float | None
    row: Mapping[str, Any]


@dataclass(frozen=True)
class ErrorPlot:
    """Error against length."""

    axes: Axes
    dots: list[ErrorDot]
    line: tuple[Dot, Dot] | None
    x_ticks: list[Tick]
    y_ticks: list[Tick]


def errors_by_length(length: Mapping[str, Any]) -> ErrorPlot | None:
    """A judge's error by answer length (``kos.evals.calibration.length``); None for no rows."""
    bins = length["bins"]
    if not bins:
        return None
    axes = Axes(
        0, max(row["high"] for row in bins), 0, max(0.5, *(row["rate_high"] for row in bins))
    )
    line = None
    if length["slope"] is not None:
        ends = bins[0]["low"], bins[-1]["high"]
        line = _line(axes, length["intercept"], length["slope"]["value"] / 1000, *ends)
    return ErrorPlot(
        axes=axes,
        dots=[_error_dot(axes, row) for row in bins],
        line=line,
        x_ticks=[Tick(axes.x(value), f"{value:g}") for value in steps(axes.x_low, axes.x_high)],
        y_ticks=[Tick(axes.y(value), _short(value)) for value in steps(axes.y_low, axes.y_high)],
    )


def _error_dot(axes: Axes, row: Mapping[str, Any]) -> ErrorDot:
    people = row["people_error"]
    x, y = axes.x(row["middle"]), axes.y(row["rate"])
    beside = None if people is None else axes.y(min(people, axes.y_high))
    return ErrorDot(x, y, axes.y(row["rate_low"]), axes.y(row["rate_high"]), beside, row)


class Whisker(NamedTuple):
    """One row of a forest plot."""

    row: Mapping[str, Any]
    y: float
    low: float
    mean: float
    high: float


@dataclass(frozen=True)
class Forest:
    """Differences with their intervals, zero marked."""

    axes: Axes
    zero: float
    rows: list[Whisker]
    ticks: list[Tick]
    height: float


ROW = 24


def forest(rows: Sequence[Mapping[str, Any]]) -> Forest | None:
    """A forest plot of slices that have a difference; None without one."""
    shown = [row for row in rows if row["delta"] is not None]
    if not shown:
        return None
    low = min(0.0, *(row["delta"]["low"] for row in shown))
    high = max(0.0, *(row["delta"]["high"] for row in shown))
    # An interval of two prompts may span ten times all others: it is cut at the edge.
    reach = min(max(-low, high), 1.5)
    axes = Axes(-reach, reach, 0, 1, width=420, left=8, right=8)
    height = len(shown) * ROW + 26
    return Forest(
        axes=axes,
        zero=axes.x(0),
        rows=[_whisker(axes, place, row) for place, row in enumerate(shown)],
        ticks=[Tick(axes.x(value), _short(value)) for value in steps(-reach, reach)],
        height=height,
    )


def _whisker(axes: Axes, place: int, row: Mapping[str, Any]) -> Whisker:
    delta = row["delta"]
    low, mean, high = (
        axes.x(max(axes.x_low, min(axes.x_high, delta[name]))) for name in ("low", "mean", "high")
    )
    return Whisker(row, place * ROW + ROW / 2, low, mean, high)


class Column(NamedTuple):
    """One bar of a histogram."""

    x: float
    y: float
    width: float
    height: float
    n: int
    middle: float
    label: str
    is_loss: bool


@dataclass(frozen=True)
class Histogram:
    """Bars over an axis."""

    axes: Axes
    columns: list[Column]
    zero: float | None


def histogram(bars: Sequence[Mapping[str, Any]]) -> Histogram | None:
    """Bars of prompts by difference; None for none."""
    if not bars:
        return None
    low, high = bars[0]["low"], bars[-1]["high"]
    axes = Axes(low, high, 0, max(bar["n"] for bar in bars), height=150)
    columns = []
    for bar in bars:
        left, right = axes.x(bar["low"]), axes.x(bar["high"])
        top = axes.y(bar["n"])
        columns.append(
            Column(
                x=left + 1,
                y=top,
                width=max(1.0, round(right - left - 2, 1)),
                height=round(axes.floor - top, 1),
                n=bar["n"],
                middle=round((left + right) / 2, 1),
                label=_short(bar["low"]),
                is_loss=bar["high"] <= 0,
            )
        )
    return Histogram(axes, columns, axes.x(0) if low <= 0 <= high else None)


def heat(value: float | None, low: float, high: float) -> int:
    """Which of five shades a value gets, 1 to 5; 0 for none."""
    if value is None:
        return 0
    if high <= low:
        return 3
    return min(HEAT_STEPS, 1 + int((value - low) / (high - low) * HEAT_STEPS))


def steps(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers between low and high, about ``wanted`` of them."""
    span = high - low
    if span <= 0:
        return [low]
    rough = span / wanted
    size = 10.0 ** len(str(int(rough))) / 10 if rough >= 1 else 1.0
    while size > rough:
        size /= 10
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough)
    first = -int(-low // step) if low % step else int(low // step)
    return [
        round(number * step, 9)
        for number in range(first, first + 3 * wanted)
        if low - 1e-9 <= number * step <= high + 1e-9
    ]


def _short(value: float) -> str:
    return f"{value:g}".replace("-", MINUS)
