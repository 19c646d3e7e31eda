"""A pipeline as a picture: its stages as boxes, and what flows between them as lines.

Boxes stand in columns: each to the right of everything it waits for. A line is left out where
another way leads there already, so that the picture shows what waits for what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from apps.runs import pipelines
from apps.runs.models import Run, Status
from apps.runs.page import progress
from apps.runs.pipelines import Stage, StageView

BOX_WIDTH, BOX_HEIGHT = 164, 66
GAP_X, GAP_Y = 66, 14
PAD = 10
GLYPHS = {
    "running": "●",
    "done": "✓",
    "failed": "✗",
    "cancelled": "■",
    "stopping": "◐",
    "lost": "△",
}
TITLES = {
    "sft": "Warm start",
    "train": "Train",
    "merge": "Merge",
    "export": "Quantise",
    "evaluate": "Evaluate",
    "evaluate_benchmark": "Benchmark",
    "deploy": "Deploy",
}
# What a stage hands on, in the word for it.
GIVES = {"sft": "adapter", "train": "adapter", "merge": "merged", "export": "quantised"}


class Box(NamedTuple):
    """One stage; ``percent`` is None before it has begun."""

    name: str
    title: str
    run_id: int | None
    status: str
    glyph: str
    note: str
    percent: int | None
    filled: int
    x: int
    y: int

    @property
    def label(self) -> str:
        """What a reader who cannot see the picture is told."""
        return f"{self.title}: {self.status}{', ' + self.note if self.note else ''}"

    @property
    def middle(self) -> int:
        return self.y + BOX_HEIGHT // 2


class Edge(NamedTuple):
    """A line from box to box; ``is_done`` once what flows there was made."""

    path: str
    is_done: bool


class Gift(NamedTuple):
    """What a box hands on, beside it."""

    text: str
    x: int
    y: int


class Picture(NamedTuple):
    """The whole, in its own units."""

    boxes: list[Box]
    edges: list[Edge]
    gifts: list[Gift]
    width: int
    height: int
    box_width: int = BOX_WIDTH
    box_height: int = BOX_HEIGHT


def picture(pipeline: Run) -> Picture:
    """The stages of ``pipeline`` with how each stands now."""
    stages = pipelines.plan(pipeline)
    views = {view.name: view for view in pipelines.stages_of(pipeline)}
    needs = {stage.name: _needs(stage) for stage in stages}
    columns = _columns(needs)
    height = max(map(len, columns)) * (BOX_HEIGHT + GAP_Y) - GAP_Y
    boxes = {
        name: _box(pipeline, views[name], column, place, len(names), height)
        for column, names in enumerate(columns)
        for place, name in enumerate(names)
    }
    edges = [
        _edge(boxes[source], boxes[name]) for name in needs for source in _nearest(name, needs)
    ]
    width = len(columns) * (BOX_WIDTH + GAP_X) - GAP_X
    gifts = [
        Gift(GIVES[name], box.x + BOX_WIDTH + 5, box.middle - 6)
        for name, box in boxes.items()
        if name in GIVES
    ]
    return Picture([*boxes.values()], edges, gifts, width + 2 * PAD, height + 2 * PAD)


def _needs(stage: Stage) -> list[str]:
    return sorted({source for source in stage.sources.values() if source != "base"})


def _columns(needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    depths: dict[str, int] = {}
    # Stages come in an order in which each follows what it needs.
    for name, sources in needs.items():
        depths[name] = 1 + max((depths[source] for source in sources), default=-1)
    columns: list[list[str]] = [[] for _ in range(max(depths.values()) + 1)]
    for name, depth in depths.items():
        columns[depth].append(name)
    return columns


def _nearest(name: str, needs: Mapping[str, Sequence[str]]) -> list[str]:
    """What ``name`` waits for, less what stands behind another of these."""
    return [
        source
        for source in needs[name]
        if not any(source in _behind(other, needs) for other in needs[name] if other != source)
    ]


def _behind(name: str, needs: Mapping[str, Sequence[str]]) -> set[str]:
    found = set(needs[name])
    for source in needs[name]:
        found |= _behind(source, needs)
    return found


def _box(pipeline: Run, view: StageView, column: int, place: int, count: int, height: int) -> Box:
    tall = count * (BOX_HEIGHT + GAP_Y) - GAP_Y
    bar = progress.stage_bar(pipeline, view.name)
    has_begun = view.status not in (pipelines.WAITING, Status.QUEUED)
    percent = (100 if view.status == Status.DONE else bar.percent) if has_begun else None
    return Box(
        name=view.name,
        title=TITLES.get(view.name, view.name),
        run_id=view.run_id,
        status=view.status,
        glyph=GLYPHS.get(view.status, "○"),
        note=_note(view, bar),
        percent=percent,
        filled=round((BOX_WIDTH - 24) * (percent or 0) / 100),
        x=PAD + column * (BOX_WIDTH + GAP_X),
        y=PAD + (height - tall) // 2 + place * (BOX_HEIGHT + GAP_Y),
    )


def _note(view: StageView, bar: progress.Bar) -> str:
    if view.status == Status.RUNNING and bar.pace:
        return bar.pace.brief
    return bar.text if view.status != Status.DONE else ""


def _edge(source: Box, target: Box) -> Edge:
    start, end = source.x + BOX_WIDTH, target.x
    half = (start + end) // 2
    path = (
        f"M{start} {source.middle} C{half} {source.middle} {half} {target.middle} "
        f"{end} {target.middle}"
    )
    return Edge(path, source.status == Status.DONE)
