"""A training step's rollouts side by side by group, and each token by token."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import pstdev
from typing import Any, NamedTuple

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from apps.accounts.guards import PageRequest, reader
from apps.accounts.numerals import number
from apps.runs.models import Run
from apps.traces import reading
from apps.traces import tokens as rated
from apps.traces.models import Trace

GROUPS_PER_PAGE = 8
BAR = 100
COLOURS = 6


class Bit(NamedTuple):
    """A part of the reward in a bar of width ``BAR``."""

    name: str
    value: float
    x: float
    width: float
    colour: int


class Rollout(NamedTuple):
    """One answer of a group, with its reward as a bar."""

    trace: Trace
    bits: list[Bit]
    is_best: bool


class Group(NamedTuple):
    """The answers to one prompt; ``is_equal`` when their rewards are, so that it taught nothing."""

    example_id: str
    question: str
    rollouts: list[Rollout]
    mean: float | None
    deviation: float | None
    num_ungraded: int

    @property
    def is_equal(self) -> bool:
        return self.deviation is not None and len(self.rollouts) > 1 and self.deviation < 1e-9


@reader
@require_GET
def detail(request: PageRequest, pk: int, step: int) -> HttpResponse:
    """The groups of one step."""
    run = get_object_or_404(Run.objects.select_related("pipeline"), pk=pk)
    traces = Trace.objects.visible_to(request.user).filter(run=run)
    steps = [*traces.order_by("step").values_list("step", flat=True).distinct()]
    found = groups_of([*traces.filter(step=step)])
    page = Paginator(found, GROUPS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "run": run,
        "tab": "rollouts",
        "step": step,
        "older": max((other for other in steps if other < step), default=None),
        "newer": min((other for other in steps if other > step), default=None),
        "page": page,
        "num_equal": sum(group.is_equal for group in found),
        "num_answers": sum(len(group.rollouts) for group in found),
        "has_tokens": rated.has_tokens(run, step),
    }
    return render(request, "traces/step.html", context)


@reader
@require_GET
def tokens(request: PageRequest, pk: int, step: int, trace: int) -> HttpResponse:
    """One rollout token by token: a page, or for htmx what unfolds on the step's page."""
    visible = Trace.objects.visible_to(request.user).select_related("run__pipeline")
    found = get_object_or_404(visible, pk=trace, run_id=pk, step=step)
    by = "probability" if request.GET.get("by") == "probability" else "difference"
    start = number(request.GET.get("after", ""), most=8) or 0
    read = rated.read(found, by=by, after=start)
    context: dict[str, Any] = {
        "run": found.run,
        "tab": "rollouts",
        "step": step,
        "trace": found,
        "read": read,
        "by": by,
        "next": start + rated.PAGE if read and start + rated.PAGE < read.num_tokens else None,
    }
    name = "_step_tokens" if request.htmx else "step_tokens"
    return render(request, f"traces/{name}.html", context)


def groups_of(traces: Sequence[Trace]) -> list[Group]:
    """The answers of a step by prompt, every bar to the scale of the step's largest reward."""
    most = max((_gained(trace) for trace in traces), default=0.0) or 1.0
    names = sorted({name for trace in traces for name in trace.components})
    # The rubric's score is always the first part.
    colours = {name: n for n, name in enumerate(sorted(names, key=lambda one: one != "rubric"))}
    return [_group(found, most, colours) for found in reading.groups(traces)]


def _group(found: reading.Group, most: float, colours: dict[str, int]) -> Group:
    rewards = [trace.reward for trace in found.traces if trace.reward is not None]
    best = max(rewards, default=None)
    is_equal = len(set(rewards)) < 2
    return Group(
        example_id=found.example_id,
        question=found.traces[0].question,
        rollouts=[
            Rollout(trace, _bits(trace, most, colours), not is_equal and trace.reward == best)
            for trace in found.traces
        ],
        mean=found.mean,
        deviation=pstdev(rewards) if rewards else None,
        num_ungraded=sum(trace.reward is None for trace in found.traces),
    )


def _bits(trace: Trace, most: float, colours: dict[str, int]) -> list[Bit]:
    """What was gained, part after part; what was lost is told in numbers only."""
    bits, x = [], 0.0
    for name in sorted(trace.components, key=lambda one: colours[one]):
        value = trace.components[name]
        width = round(BAR * max(0.0, value) / most, 2)
        bits.append(Bit(name, value, round(x, 2), width, colours[name] % COLOURS + 1))
        x += width
    return bits


def _gained(trace: Trace) -> float:
    return float(sum(max(0.0, value) for value in trace.components.values()))
