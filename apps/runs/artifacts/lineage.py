"""The lineage of a model, run, deployment or dataset as a page: a graph, and the same as a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounts.guards import PageRequest, engineer
from apps.accounts.numerals import number
from apps.runs.artifacts import graph, layers
from apps.runs.artifacts.graph import Edge, Key, Node, Side
from apps.runs.models import Artifact, Run

# The names of the address, in the order they are looked for.
ROOTS = ("artifact", "run", "deployment", "dataset", "rubric", "answers")
HOPS = (1, 2, 3, 4, 8)


class Placed(NamedTuple):
    """A node where it stands; ``more`` has what is hidden beside it, by side."""

    node: Node
    box: layers.Box
    is_root: bool
    query: str
    before: int
    after: int

    @property
    def left(self) -> int:
        return self.box.x - 12

    @property
    def right(self) -> int:
        return self.box.x + layers.WIDTH - 12

    @property
    def knob_y(self) -> int:
        return self.box.y + layers.HEIGHT - 12


class Line(NamedTuple):
    """An edge as it is drawn."""

    edge: Edge
    curve: layers.Curve


class Row(NamedTuple):
    """A node in the list: what it was made with and what came of it, as links."""

    node: Node
    made_with: Sequence[tuple[str, Node]]
    made: Sequence[tuple[str, Node]]


@engineer
@require_GET
def lineage(request: PageRequest) -> HttpResponse:
    """The graph around what the address names; htmx asks for the graph alone."""
    roots = _roots(request.GET)
    context: dict[str, Any] = {"roots": roots}
    if roots:
        context |= drawn(roots, request.GET)
        if not context["rows"]:
            raise Http404
        context["about"] = next(
            (row.node for row in context["rows"] if row.node.key in roots), None
        )
    else:
        newest = Artifact.objects.select_related("run")
        context["recent"] = newest.filter(kind__in=("quantised", "merged", "adapter"))[:8]
    if wants(request, "lineage"):
        return render(request, "runs/_graph.html", context)
    return render(request, "runs/lineage.html", context)


def wants(request: PageRequest, fragment: str) -> bool:
    """Whether htmx asks for the element with this id alone; it may name its tag before it."""
    return bool(request.htmx) and (request.htmx.target or "").rpartition("#")[2] == fragment


def drawn(roots: Sequence[Key], asked: QueryDict) -> dict[str, Any]:
    """What ``runs/_graph.html`` draws: places, lines, rows of the list, and the links."""
    opened = [key for name in asked.get("open", "").split(",") if (key := _key(name))]
    wanted = number(asked.get("hops", ""))
    hops = wanted if wanted in HOPS else 2
    part = graph.part(roots, opened=opened, hops=hops)
    nodes = [*part.nodes]
    drawing = layers.draw(nodes, [(edge.start, edge.end) for edge in part.edges])
    placed = [
        _placed(part, key, drawing.boxes[key], roots, _query(asked, [*opened, key]))
        for key in nodes
    ]
    return {
        "placed": sorted(placed, key=lambda one: (one.box.x, one.box.y)),
        "lines": [Line(*pair) for pair in zip(part.edges, drawing.curves, strict=True)],
        "drawing": drawing,
        "rows": _rows(part, [one.node for one in sorted(placed, key=lambda one: one.box)]),
        "hops": hops,
        "wider": _hops(asked, next((one for one in HOPS if one > hops), hops)),
        "narrower": _hops(asked, next((one for one in HOPS[::-1] if one < hops), hops)),
        "can_widen": bool(part.hidden) and hops < HOPS[-1] and not part.is_cut,
        "is_cut": part.is_cut,
        "num_opened": len(opened),
        "closed": _query(asked, []),
    }


def _placed(
    part: graph.Part, key: Key, box: layers.Box, roots: Sequence[Key], query: str
) -> Placed:
    sides: Mapping[Side, int] = {side: part.hidden.get((key, side), 0) for side in graph.SIDES}
    return Placed(part.nodes[key], box, key in roots, query, sides["before"], sides["after"])


def _rows(part: graph.Part, order: Sequence[Node]) -> list[Row]:
    """The same graph as a list, in the order of the layers."""
    before: dict[Key, list[tuple[str, Node]]] = {node.key: [] for node in order}
    after: dict[Key, list[tuple[str, Node]]] = {node.key: [] for node in order}
    for edge in part.edges:
        before[edge.end].append((edge.name, part.nodes[edge.start]))
        after[edge.start].append((edge.name, part.nodes[edge.end]))
    return [Row(node, before[node.key], after[node.key]) for node in order]


def _roots(asked: QueryDict) -> list[Key]:
    """What the address names; a pipeline by its stages, a serving run by its deployment."""
    for kind in ROOTS:
        if (pk := number(asked.get(kind, ""))) is not None:
            return _folded(pk) if kind == "run" else [Key(kind, pk)]
    return []


def _folded(pk: int) -> list[Key]:
    run = Run.objects.filter(pk=pk).only("kind").first()
    if run is None or run.kind not in ("pipeline", "deploy", "remote"):
        return [Key("run", pk)]
    if run.kind == "pipeline":
        stages = run.stages.exclude(kind="deploy").order_by("pk").values_list("pk", flat=True)
        return [Key("run", stage) for stage in stages] or [Key("run", pk)]
    served = Run.objects.filter(pk=pk).values_list("deployment", flat=True).first()
    return [Key("deployment", served)] if served else [Key("run", pk)]


def _key(name: str) -> Key | None:
    kind, _, typed = name.partition("-")
    pk = number(typed)
    return Key(kind, pk) if pk is not None and kind in graph.kinds() else None


def _query(asked: QueryDict, opened: Sequence[Key]) -> str:
    """The address with these nodes opened."""
    fields = asked.copy()
    fields.pop("open", None)
    if opened:
        fields["open"] = ",".join(dict.fromkeys(map(str, opened)))
    return f"?{fields.urlencode(safe=',')}"


def _hops(asked: QueryDict, hops: int) -> str:
    fields = asked.copy()
    fields["hops"] = str(hops)
    return f"?{fields.urlencode(safe=',')}"
