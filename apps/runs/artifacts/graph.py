"""What was made from what, as a graph: datasets, rubrics, runs, artifacts, and what answers.

Each room adds the kinds of nodes it keeps (``add``): runs here, deployments and answers in their
own. A kind tells how its nodes read and which edges lead to and from them, for many at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Side = Literal["before", "after"]
SIDES: tuple[Side, Side] = ("before", "after")
# Edges that one question brings: a base may have thousands of runs.
MOST_EDGES = 600


class Key(NamedTuple):
    """A node's name: what it is, and the number of its row."""

    kind: str
    pk: int

    def __str__(self) -> str:
        return f"{self.kind}-{self.pk}"


class Edge(NamedTuple):
    """``end`` was made with ``start``, as the input called ``name``."""

    start: Key
    end: Key
    name: str = ""


class Node(NamedTuple):
    """How a node reads: ``glyph`` is an icon, ``number`` what tells it from its like."""

    key: Key
    label: str
    name: str
    number: str = ""
    status: str = ""
    url: str = ""
    glyph: str = "box"
    is_gone: bool = False


Describe = Callable[[Collection[int]], Iterable[Node]]
Beside = Callable[[Collection[int]], Iterable[Edge]]


@dataclass
class _Kinds:
    """What the rooms brought."""

    describe: dict[str, Describe] = field(default_factory=dict)
    before: dict[str, list[Beside]] = field(default_factory=lambda: defaultdict(list))
    after: dict[str, list[Beside]] = field(default_factory=lambda: defaultdict(list))

    def beside(self, kind: str, side: Side) -> Sequence[Beside]:
        return (self.before if side == "before" else self.after).get(kind, ())


_KINDS = _Kinds()


def add(
    kind: str,
    *,
    describe: Describe | None = None,
    before: Beside | None = None,
    after: Beside | None = None,
) -> None:
    """Let the graph know nodes of ``kind``, or more edges of a kind that another room brought."""
    if describe is not None:
        _KINDS.describe[kind] = describe
    if before is not None and before not in _KINDS.before[kind]:
        _KINDS.before[kind].append(before)
    if after is not None and after not in _KINDS.after[kind]:
        _KINDS.after[kind].append(after)


def kinds() -> Collection[str]:
    return _KINDS.describe


def edges(keys: Iterable[Key], side: Side) -> list[Edge]:
    """All edges that lead to (``before``) or from (``after``) these nodes."""
    by_kind: dict[str, set[int]] = defaultdict(set)
    for key in keys:
        by_kind[key.kind].add(key.pk)
    return [
        edge
        for kind, pks in sorted(by_kind.items())
        for beside in _KINDS.beside(kind, side)
        for edge in beside(pks)
    ]


def describe(keys: Iterable[Key]) -> dict[Key, Node]:
    """The nodes that are still there, by their keys."""
    by_kind: dict[str, set[int]] = defaultdict(set)
    for key in keys:
        by_kind[key.kind].add(key.pk)
    return {
        node.key: node
        for kind, pks in by_kind.items()
        if kind in _KINDS.describe
        for node in _KINDS.describe[kind](pks)
    }


def walk(
    starts: Iterable[Key],
    side: Side,
    *,
    hops: int = 12,
    most: int = 2000,
    through: Callable[[Edge], bool] = lambda edge: True,
) -> list[Edge]:
    """The edges met on the way from ``starts``, nearest first; a node is gone on from once."""
    wave, seen = [*starts], set(starts)
    found: dict[Edge, None] = {}
    for _ in range(hops):
        met = [edge for edge in edges(wave, side) if through(edge)]
        found |= dict.fromkeys(met)
        ends = dict.fromkeys(edge.start if side == "before" else edge.end for edge in met)
        wave = [key for key in ends if key not in seen]
        seen.update(wave)
        if not wave or len(seen) >= most:
            break
    return [*found]


@dataclass(frozen=True)
class Part:
    """A piece of the graph to show; ``hidden`` counts the neighbours of a node it leaves out."""

    nodes: Mapping[Key, Node]
    edges: Sequence[Edge]
    hidden: Mapping[tuple[Key, Side], int]
    is_cut: bool


def part(
    roots: Sequence[Key],
    *,
    opened: Sequence[Key] = (),
    hops: int = 2,
    fan: int = 6,
    most: int = 200,
) -> Part:
    """``hops`` steps to both sides of ``roots``, and all round what was ``opened``.

    Of the neighbours of a node the newest ``fan`` are shown, of an opened one all, until there
    are ``most`` nodes.
    """
    shown: dict[Key, None] = dict.fromkeys(roots)
    known: dict[tuple[Key, Side], list[Edge]] = {}
    for side in SIDES:
        wave = [*roots]
        for _ in range(hops):
            wave = _step(wave, side, shown, known, fan=fan, most=most)
    for key in opened:
        for side in SIDES:
            _step([key], side, shown, known, fan=most, most=most)
    for side in SIDES:
        _learn([*shown], side, known)
    nodes = describe(shown)
    met = dict.fromkeys(edge for found in known.values() for edge in found)
    drawn = [edge for edge in met if edge.start in nodes and edge.end in nodes]
    hidden = {place: num for place in known if (num := _num_hidden(known[place], place, nodes))}
    return Part(nodes, drawn, hidden, len(shown) >= most)


def _step(
    wave: Sequence[Key],
    side: Side,
    shown: dict[Key, None],
    known: dict[tuple[Key, Side], list[Edge]],
    *,
    fan: int,
    most: int,
) -> list[Key]:
    """Show the neighbours of ``wave``, as many as may be; those that are new."""
    _learn(wave, side, known)
    coming = []
    for key in wave:
        beside = dict.fromkeys(_other(edge, key) for edge in known[key, side])
        for other in [*beside][:fan]:
            if other not in shown and len(shown) < most:
                shown[other] = None
                coming.append(other)
    return coming


def _learn(wave: Sequence[Key], side: Side, known: dict[tuple[Key, Side], list[Edge]]) -> None:
    asked = [key for key in wave if (key, side) not in known]
    for key in asked:
        known[key, side] = []
    for edge in edges(asked, side):
        known[edge.end if side == "before" else edge.start, side].append(edge)


def _other(edge: Edge, key: Key) -> Key:
    return edge.end if edge.start == key else edge.start


def _num_hidden(found: Sequence[Edge], place: tuple[Key, Side], nodes: Mapping[Key, Node]) -> int:
    key, _ = place
    if key not in nodes:
        return 0
    return len({_other(edge, key) for edge in found} - nodes.keys())
