"""Places for the nodes of a graph, in layers from left to right. No database, no pages.

Longest-path layering, sources pulled towards what uses them, then barycentre sweeps to keep
edges from crossing (Sugiyama, Tagawa and Toda 1981). An edge over several layers bends through
invisible nodes, so that it does not run behind the boxes between.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean
from typing import Generic, NamedTuple, TypeVar

Key = TypeVar("Key", bound=Hashable)

WIDTH, HEIGHT = 192, 66
GAP_X, GAP_Y = 60, 20
# An invisible node needs less room than a box.
THREAD = 14
MARGIN = 20
SWEEPS = 8


class Box(NamedTuple):
    """Where a node stands: its left upper corner."""

    x: int
    y: int


class Curve(NamedTuple):
    """An edge as an SVG path, and where its label stands."""

    path: str
    x: int
    y: int


@dataclass(frozen=True)
class Drawing(Generic[Key]):
    """A laid out graph; ``curves`` has the edges in the order they were given."""

    boxes: Mapping[Key, Box]
    curves: Sequence[Curve]
    width: int
    height: int


@dataclass
class _Sheet:
    """Layers of slots: numbers of nodes, and of the invisible ones that long edges bend through."""

    layers: list[list[int]]
    links: list[tuple[int, int]]
    num_nodes: int
    before: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    after: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for start, end in self.links:
            self.after[start].append(end)
            self.before[end].append(start)

    def height_of(self, slot: int) -> int:
        return HEIGHT if slot < self.num_nodes else THREAD


def draw(nodes: Sequence[Key], edges: Sequence[tuple[Key, Key]]) -> Drawing[Key]:
    """Place ``nodes``; of parallel edges each is drawn. An edge that closes a circle is turned."""
    numbers = {node: number for number, node in enumerate(nodes)}
    pairs = [(numbers[start], numbers[end]) for start, end in edges]
    forward = _without_circles(len(nodes), pairs)
    layer = _layer(len(nodes), forward)
    sheet, threads = _sheet(layer, forward)
    _untangle(sheet)
    centres = _centres(sheet)
    column = {slot: x for x, slots in enumerate(sheet.layers) for slot in slots}
    boxes = {
        node: Box(_left(layer[number]), round(centres[number] - HEIGHT / 2))
        for node, number in numbers.items()
    }
    curves = [
        _curve([start, *thread, end], centres, column)
        for (start, end), thread in zip(forward, threads, strict=True)
    ]
    lowest = max((centres[slot] + sheet.height_of(slot) / 2 for slot in centres), default=0)
    width = _left(len(sheet.layers) - 1) + WIDTH + MARGIN if nodes else 0
    return Drawing(boxes, curves, width, round(lowest) + MARGIN)


def _without_circles(num: int, pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The edges, those turned round that lead back to where one came from."""
    after: dict[int, list[int]] = defaultdict(list)
    for start, end in pairs:
        after[start].append(end)
    seen: dict[int, bool] = {}
    turned: set[tuple[int, int]] = set()
    for root in range(num):
        stack = [(root, iter(after[root]))] if root not in seen else []
        seen.setdefault(root, True)
        while stack:
            node, rest = stack[-1]
            for end in rest:
                if end not in seen:
                    seen[end] = True
                    stack.append((end, iter(after[end])))
                    break
                if seen[end]:
                    turned.add((node, end))
            else:
                seen[node] = False
                stack.pop()
    return [(end, start) if (start, end) in turned else (start, end) for start, end in pairs]


def _layer(num: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """The column of every node: right of all it comes from, and no farther left than it must be."""
    before: dict[int, set[int]] = defaultdict(set)
    after: dict[int, set[int]] = defaultdict(set)
    for start, end in pairs:
        if start != end:
            before[end].add(start)
            after[start].add(end)
    waits = {node: len(before[node]) for node in range(num)}
    ready = [node for node in range(num) if not waits[node]]
    layer = [0] * num
    for node in ready:
        for end in sorted(after[node]):
            layer[end] = max(layer[end], layer[node] + 1)
            waits[end] -= 1
            if not waits[end]:
                ready.append(end)
    for node in reversed(ready):
        # What nothing leads to stands beside its first use, not at the far left.
        if after[node] and not before[node]:
            layer[node] = min(layer[end] for end in after[node]) - 1
    return layer


def _sheet(
    layer: Sequence[int], pairs: Sequence[tuple[int, int]]
) -> tuple[_Sheet, list[list[int]]]:
    """The layers with invisible slots, and those of each edge."""
    columns: list[list[int]] = [[] for _ in range(max(layer, default=-1) + 1)]
    for node, x in enumerate(layer):
        columns[x].append(node)
    links, threads, coming = [], [], len(layer)
    for start, end in pairs:
        thread = []
        for x in range(layer[start] + 1, layer[end]):
            columns[x].append(coming)
            thread.append(coming)
            coming += 1
        way = [start, *thread, end]
        links += [*pairwise(way)]
        threads.append(thread)
    return _Sheet(columns, links, len(layer)), threads


def _untangle(sheet: _Sheet) -> None:
    """Order each layer by where its neighbours stand, left to right and back again."""
    best = [layer[:] for layer in sheet.layers]
    fewest = _crossings(sheet)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        forward = sweep % 2 == 0
        near = sheet.before if forward else sheet.after
        columns = sheet.layers if forward else sheet.layers[::-1]
        for beside, column in pairwise(columns):
            place = {slot: number for number, slot in enumerate(beside)}
            column.sort(key=_barycentre(column, near, place))
        crossings = _crossings(sheet)
        if crossings < fewest:
            best, fewest = [layer[:] for layer in sheet.layers], crossings
    sheet.layers[:] = best


def _barycentre(
    column: Sequence[int], near: Mapping[int, Sequence[int]], place: Mapping[int, int]
) -> Callable[[int], tuple[float, int]]:
    own = {slot: number for number, slot in enumerate(column)}
    means = {
        slot: fmean(found)
        if (found := [place[o] for o in near.get(slot, ()) if o in place])
        else float(own[slot])
        for slot in column
    }
    return lambda slot: (means[slot], own[slot])


def _crossings(sheet: _Sheet) -> int:
    """How many pairs of links cross. By inversions: a graph of 200 nodes is counted at once."""
    total = 0
    for left, right in zip(sheet.layers, sheet.layers[1:], strict=False):
        place = {slot: number for number, slot in enumerate(right)}
        ends = [
            end
            for slot in left
            for end in sorted(place[o] for o in sheet.after.get(slot, ()) if o in place)
        ]
        total += _inversions(ends)
    return total


def _inversions(values: Sequence[int]) -> int:
    """Pairs out of order, by a Fenwick tree."""
    size = max(values, default=-1) + 1
    tree = [0] * (size + 1)
    total = 0
    for seen, value in enumerate(values):
        at, not_greater = value + 1, 0
        while at:
            not_greater += tree[at]
            at &= at - 1
        total += seen - not_greater
        at = value + 1
        while at <= size:
            tree[at] += 1
            at += at & -at
    return total


def _centres(sheet: _Sheet) -> dict[int, float]:
    """The height of each slot's middle: near its neighbours, never over another."""
    centres: dict[int, float] = {}
    for column in sheet.layers:
        y = float(MARGIN)
        for slot in column:
            centres[slot] = y + sheet.height_of(slot) / 2
            y += sheet.height_of(slot) + GAP_Y
    for sweep in range(6):
        near = sheet.after if sweep % 2 else sheet.before
        for column in sheet.layers[::-1] if sweep % 2 else sheet.layers:
            _settle(sheet, column, near, centres)
    lift = min((centres[s] - sheet.height_of(s) / 2 for s in centres), default=0) - MARGIN
    return {slot: y - lift for slot, y in centres.items()}


def _settle(
    sheet: _Sheet,
    column: Sequence[int],
    near: Mapping[int, Sequence[int]],
    centres: dict[int, float],
) -> None:
    """Move a column's slots towards their neighbours; those that would touch share the way."""
    blocks: list[tuple[float, float, list[int]]] = []  # wanted middle, height, slots
    for slot in column:
        beside = [centres[other] for other in near.get(slot, ())]
        wanted = fmean(beside) if beside else centres[slot]
        block = (wanted, float(sheet.height_of(slot)), [slot])
        while blocks and _touch(blocks[-1], block):
            block = _join(blocks.pop(), block)
        blocks.append(block)
    for middle, height, slots in blocks:
        y = middle - height / 2
        for slot in slots:
            centres[slot] = y + sheet.height_of(slot) / 2
            y += sheet.height_of(slot) + GAP_Y


def _touch(above: tuple[float, float, list[int]], below: tuple[float, float, list[int]]) -> bool:
    return above[0] + above[1] / 2 + GAP_Y > below[0] - below[1] / 2


def _join(
    above: tuple[float, float, list[int]], below: tuple[float, float, list[int]]
) -> tuple[float, float, list[int]]:
    weight_above, weight_below = len(above[2]), len(below[2])
    height = above[1] + GAP_Y + below[1]
    # Where the joined block would be if each part had its way.
    by_above = above[0] - above[1] / 2 + height / 2
    by_below = below[0] + below[1] / 2 - height / 2
    middle = (by_above * weight_above + by_below * weight_below) / (weight_above + weight_below)
    return middle, height, above[2] + below[2]


def _left(column: int) -> int:
    return MARGIN + column * (WIDTH + GAP_X)


def _curve(way: Sequence[int], centres: Mapping[int, float], column: Mapping[int, int]) -> Curve:
    """From the right side of the first box to the left side of the last, in gentle bends."""
    x, y = _left(column[way[0]]) + WIDTH, round(centres[way[0]])
    path, label = f"M{x},{y}", (x, y)
    for slot in way[1:]:
        to_x, to_y = _left(column[slot]), round(centres[slot])
        middle = (x + to_x) // 2
        path += f" C{middle},{y} {middle},{to_y} {to_x},{to_y}"
        label = (middle, (y + to_y) // 2)
        x, y = to_x, to_y
        if slot != way[-1]:
            x = to_x + WIDTH
            path += f" H{x}"
    return Curve(path, *label)
