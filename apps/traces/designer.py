"""The curriculum designer: a length bonus drawn over the lengths that answers really have.

Plain numbers for SVG. Two channels, all tokens and the visible answer; each as it stands at the
start, in the middle and at the end of the training.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import NamedTuple

from kos.rl.rewards.conciseness import ConcisenessBonus, LengthBonus

WIDTH, HEIGHT = 420, 170
LEFT, RIGHT, TOP, BOTTOM = 40, 20, 10, 24
BINS = 30
SAMPLES = 20
MOMENTS = ((0.0, "at the start"), (0.5, "half way"), (1.0, "at the end"))
CHANNELS = (("response", "All tokens"), ("output", "Visible answer"))
MARGIN = 1.15
NICE = (1, 2, 2.5, 5, 10)


class Length(NamedTuple):
    """What of a rollout the bonus looks at; no score is an ungraded one."""

    response: int
    output: int
    score: float | None


class Column(NamedTuple):
    """A bar of the histogram."""

    x: float
    y: float
    width: float
    height: float


class Tick(NamedTuple):
    """A place on an axis and what stands there."""

    at: float
    text: str


class Line(NamedTuple):
    """A polyline's points, and how it is called."""

    points: str
    label: str


class Zones(NamedTuple):
    """How answers of these lengths fare at one moment: shares, and what they earn on average."""

    moment: str
    bonus: LengthBonus
    full: float | None
    falling: float | None
    none: float | None
    mean: float | None


class Chart(NamedTuple):
    """One picture with its axes."""

    title: str
    columns: list[Column]
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    zones: list[Zones]


class Gate(NamedTuple):
    """The gate at one moment, and the share of graded answers that pass it."""

    moment: str
    score: float
    share: float | None


class Design(NamedTuple):
    """All that the designer shows of one stage."""

    channels: list[Chart]
    course: Chart
    gates: list[Gate]
    is_moving: bool


def design(stage: ConcisenessBonus, lengths: Sequence[Length]) -> Design:
    """The pictures of ``stage`` over ``lengths``; without lengths only its curves."""
    moments = MOMENTS if stage.curves else MOMENTS[:1]
    gated = moments if "gate" in stage.curves else MOMENTS[:1]
    return Design(
        channels=[_channel(stage, name, title, lengths, moments) for name, title in CHANNELS],
        course=_course(stage, lengths),
        gates=[
            Gate(said, (gate := stage.at(progress).gate), _share(lengths, gate))
            for progress, said in gated
        ],
        is_moving=bool(stage.curves),
    )


def _channel(
    stage: ConcisenessBonus,
    name: str,
    title: str,
    lengths: Sequence[Length],
    moments: Sequence[tuple[float, str]],
) -> Chart:
    """The bonus of one channel against the length, with the histogram behind it."""
    known = [(getattr(length, name), length.score) for length in lengths]
    bonuses = [(said, _bonus(stage, name, progress)) for progress, said in moments]
    x_most = MARGIN * max(
        [bonus.maximum for _, bonus in bonuses] + [_quantile([n for n, _ in known], 0.99)]
    )
    y_most = MARGIN * max(max(bonus.beta for _, bonus in bonuses), 1e-9)
    axes = _Axes(x_most, y_most)
    return Chart(
        title=title,
        columns=axes.columns([n for n, _ in known]),
        lines=[
            Line(axes.line((x, bonus.at(round(x))) for x in _corners(bonus, x_most)), said)
            for said, bonus in bonuses
        ],
        x_ticks=axes.x_ticks(),
        y_ticks=axes.y_ticks(),
        zones=[
            _zones(said, bonus, known, stage.at(progress).gate)
            for (progress, _), (said, bonus) in zip(moments, bonuses, strict=True)
        ],
    )


def _course(stage: ConcisenessBonus, lengths: Sequence[Length]) -> Chart:
    """What these answers would earn over the training, by channel; the betas without answers."""
    places = [place / SAMPLES for place in range(SAMPLES + 1)]
    rows = {
        title: [
            _earned(stage.at(place), name, lengths) if lengths else _bonus(stage, name, place).beta
            for place in places
        ]
        for name, title in CHANNELS
    }
    axes = _Axes(1.0, MARGIN * max(max(max(row) for row in rows.values()), 1e-9))
    return Chart(
        title="Mean bonus of these answers" if lengths else "Full bonus",
        columns=[],
        lines=[
            Line(axes.line(zip(places, row, strict=True)), title) for title, row in rows.items()
        ],
        x_ticks=[Tick(axes.x(place / 4), f"{25 * place} %") for place in range(5)],
        y_ticks=axes.y_ticks(),
        zones=[],
    )


def _bonus(stage: ConcisenessBonus, name: str, progress: float) -> LengthBonus:
    found: LengthBonus = getattr(stage.at(progress), name)
    return found


def _earned(stage: ConcisenessBonus, name: str, lengths: Sequence[Length]) -> float:
    bonus: LengthBonus = getattr(stage, name)
    return fmean(
        bonus.at(getattr(length, name)) if _passes(length.score, stage.gate) else 0.0
        for length in lengths
    )


def _zones(
    said: str, bonus: LengthBonus, known: Sequence[tuple[int, float | None]], gate: float
) -> Zones:
    if not known:
        return Zones(said, bonus, None, None, None, None)
    full = sum(n <= bonus.free for n, _ in known) / len(known)
    none = sum(n >= bonus.maximum for n, _ in known) / len(known)
    mean = fmean(bonus.at(n) if _passes(score, gate) else 0.0 for n, score in known)
    return Zones(said, bonus, full, 1 - full - none, none, mean)


def _share(lengths: Sequence[Length], gate: float) -> float | None:
    """The share of graded answers that pass the gate."""
    scores = [length.score for length in lengths if length.score is not None]
    return sum(score >= gate for score in scores) / len(scores) if scores else None


def _passes(score: float | None, gate: float) -> bool:
    return score is not None and score >= gate


def _corners(bonus: LengthBonus, most: float) -> list[float]:
    return [0, bonus.free, bonus.maximum, max(most, bonus.maximum)]


def _quantile(values: Sequence[int], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))] if values else 0.0


class _Axes(NamedTuple):
    """Maps 0 to ``x_most`` and 0 to ``y_most`` onto the picture."""

    x_most: float
    y_most: float

    def x(self, value: float) -> float:
        return round(LEFT + value / self.x_most * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        return round(HEIGHT - BOTTOM - value / self.y_most * (HEIGHT - TOP - BOTTOM), 1)

    def line(self, points: Iterable[tuple[float, float]]) -> str:
        return " ".join(f"{self.x(x)},{self.y(y)}" for x, y in points)

    def columns(self, values: Sequence[int]) -> list[Column]:
        """A histogram that fills two thirds of the height; longer values count in the last bar."""
        if not values:
            return []
        counts = [0] * BINS
        for value in values:
            counts[min(BINS - 1, int(value / self.x_most * BINS))] += 1
        room = (HEIGHT - TOP - BOTTOM) * 0.66
        width = (WIDTH - LEFT - RIGHT) / BINS
        return [
            Column(
                round(LEFT + place * width + 0.5, 1),
                round(HEIGHT - BOTTOM - room * count / max(counts), 1),
                round(width - 1, 1),
                round(room * count / max(counts), 1),
            )
            for place, count in enumerate(counts)
            if count
        ]

    def x_ticks(self) -> list[Tick]:
        return [Tick(self.x(value), f"{value:,.0f}") for value in _nice(self.x_most, 5)]

    def y_ticks(self) -> list[Tick]:
        return [Tick(self.y(value), f"{value:.3g}") for value in _nice(self.y_most, 4)]


def _nice(most: float, count: int) -> list[float]:
    """Round numbers from 0 up to ``most``, at most about ``count`` of them."""
    power = 10.0 ** len(str(int(most / count))) / 10 if most / count >= 1 else 1.0
    while power > most / count:
        power /= 10
    step = next(power * nice for nice in NICE if power * nice >= most / count)
    return [step * place for place in range(int(most / step) + 1)]
