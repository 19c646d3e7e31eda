"""A run as it goes, in a terminal: bars with unit, rate and time left, and its log above them.

Where nobody watches it is plain lines, or with --json one event a line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from kos.client.rows import Event, Run
from kos.client.runs import progress_of
from kos.client.terminal.screen import Screen, clean, number, pairs
from kos.client.terminal.session import DONE, FAILED, STOPPED, Session

LEVELS = {"warning": "yellow", "error": "red"}
# A pipe hears of a bar at every so much of it.
SHARE = 0.1


def follow(session: Session, run: Run, *, after: int = 0) -> int:
    """Show the run until it ends; returns the exit code that its end stands for.

    Ctrl-C leaves the run alone.
    """
    screen = session.screen
    view: _Plain | _Bars = _Bars(screen) if screen.is_live else _Plain(screen)
    try:
        with view:
            for stage, part in run.progress.items():
                view.move(stage, part["done"], part["total"], part.get("unit", ""))
            for event in session.kos.runs.stream(run, after=after):
                _show(view, screen, event)
    except KeyboardInterrupt:
        screen.remark(f"Run {run.id} goes on. To stop it: kos run stop {run.id}")
        return STOPPED
    return ending(screen, session.kos.runs.get(run))


def ending(screen: Screen, run: Run) -> int:
    """Say how it ended; the exit code."""
    if not screen.is_json:
        more = f": {run.error}" if run.error else ""
        screen.remark(f"Run {run.id} ({run.name}) is {run.status}{more}")
    if run.is_done or not run.is_ended:
        return DONE
    return STOPPED if run.status == "cancelled" else FAILED


def line_of(event: Event) -> str:
    """An event as a line of the log; empty for what bars and pages show better."""
    data = event.data
    match event.kind:
        case "note" | "tracker":
            return str(data.get("text", ""))
        case "step":
            return f"step {data.get('step')}  {pairs(data.get('metrics') or {})}"
        case "saved":
            return f"kept {data.get('artifact')}: {data.get('path')}"
        case "status":
            why = f": {data['error']}" if data.get("error") else ""
            return f"{data.get('status')}{why}"
        case "failed":
            return str(data.get("error", ""))
        case "lost":
            return f"attempt {data.get('attempt')} was lost: {data.get('reason')}"
        case "serving":
            return f"{data.get('model')} answers"
        case "result":
            return pairs(data.get("summary") or {})
    return ""


def _show(view: _Plain | _Bars, screen: Screen, event: Event) -> None:
    if screen.is_json:
        screen.data(event.raw)
        return
    if part := progress_of(event):
        view.move(part.stage, part.done, part.total, part.unit)
    elif event.kind == "step":
        view.step(line_of(event))
    elif line := line_of(event):
        view.line(line, _level(event))


def _level(event: Event) -> str:
    if event.kind == "failed" or event.data.get("error"):
        return "error"
    return "warning" if event.kind == "lost" else str(event.data.get("level", ""))


class _Plain:
    """Lines for a pipe or a file."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self._told: dict[str, float] = {}

    def __enter__(self) -> None:
        return None

    def __exit__(self, *failure: object) -> None:
        return None

    def move(self, stage: str, done: float, total: float, unit: str) -> None:
        share = done / total if total else 0.0
        if self.screen.is_json or share < self._told.get(stage, 0.0) + SHARE:
            return
        self._told[stage] = share
        self.screen.plain(f"{stage}: {number(done)} of {number(total)} {unit}".rstrip())

    def step(self, text: str) -> None:
        self.line(text, "")

    def line(self, text: str, level: str) -> None:
        self.screen.plain(f"{level}: {text}" if level in LEVELS else text)


class _Bars:
    """Bars at the foot of the terminal, and the last step's numbers; lines go above them."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            _Count(),
            _Rate(),
            TimeRemainingColumn(compact=True),
            console=screen.out,
            expand=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._step = Text("", style="bright_black", overflow="ellipsis", no_wrap=True)
        self._live = Live(Group(self._bars, self._step), console=screen.out, refresh_per_second=8)

    def __enter__(self) -> None:
        self._live.start()

    def __exit__(self, *failure: object) -> None:
        self._live.stop()

    def move(self, stage: str, done: float, total: float, unit: str) -> None:
        known = self._tasks.get(stage)
        if known is None:
            # What was done before we came must not count as speed.
            self._tasks[stage] = self._bars.add_task(
                clean(stage), total=total or None, completed=int(done), unit=unit
            )
            return
        self._bars.update(known, completed=done, total=total or None)

    def step(self, text: str) -> None:
        self._step.plain = clean(text)

    def line(self, text: str, level: str) -> None:
        self._live.console.print(Text(clean(text), style=LEVELS.get(level, "default")))


class _Count(ProgressColumn):
    """How many of how many, with the unit."""

    def render(self, task: Task) -> Text:
        total = f" / {number(task.total)}" if task.total else ""
        return Text(f"{number(task.completed)}{total} {_unit(task.fields)}".rstrip())


class _Rate(ProgressColumn):
    """How fast: units a second, or seconds a unit for slow ones."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        unit = _unit(task.fields)
        slow = f"{1 / speed:.1f} s each"
        return Text(f"{speed:.1f} {unit}/s" if speed >= 1 else slow, style="bright_black")


def _unit(fields: Mapping[str, Any]) -> str:
    return clean(str(fields.get("unit", "")))
