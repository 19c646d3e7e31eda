"""What happened when: the turns of the model and its tool calls as bars over one time axis.

Bars are SVG with attributes alone, so that they need no inline style.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from apps.traces.models import Trace

WIDTH = 1000
TICKS = 4


class Bar(NamedTuple):
    """One turn or call; ``x`` and ``width`` are in thousandths of the whole time."""

    label: str
    sort: str
    started: float
    seconds: float
    x: float
    width: float
    note: str
    anchor: str


class Tick(NamedTuple):
    x: float
    seconds: float


class Timeline(NamedTuple):
    bars: list[Bar]
    ticks: list[Tick]
    total: float


def timeline(trace: Trace) -> Timeline | None:
    """The trace's turns and calls in the order they began; None where no times are known."""
    spans = [_turn(turn) for turn in trace.turns] + [
        _call(place, tool) for place, tool in enumerate(trace.tools)
    ]
    if not spans:
        return None
    spans.sort(key=lambda span: (span["started"], span["sort"]))
    total = max(span["started"] + span["seconds"] for span in spans) or 1.0
    bars = [
        Bar(
            **span,
            x=round(span["started"] / total * WIDTH, 2),
            width=round(max(span["seconds"] / total * WIDTH, 2.0), 2),
        )
        for span in spans
    ]
    ticks = [
        Tick(round(WIDTH * part / TICKS, 2), total * part / TICKS) for part in range(TICKS + 1)
    ]
    return Timeline(bars, ticks, total)


def _turn(turn: Mapping[str, Any]) -> dict[str, Any]:
    first = turn.get("first_token_seconds")
    number = turn["num_tokens"]
    tokens = f"{number} token{'' if number == 1 else 's'}"
    note = f"{tokens}, first after {first:.2f} s" if first is not None else tokens
    return {
        "label": f"{_agent(turn)}Turn {turn['turn']}",
        "sort": "turn",
        "started": turn["started"],
        "seconds": turn["seconds"],
        "note": note,
        "anchor": f"turn-{turn['turn']}" if not turn.get("agent") else "",
    }


def _call(place: int, tool: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "label": f"{_agent(tool)}{tool['call']['name']}",
        "sort": "error" if tool["is_error"] else "tool",
        "started": tool["started"],
        "seconds": tool["seconds"],
        "note": "error" if tool["is_error"] else tool["mode"],
        "anchor": f"call-{place}",
    }


def _agent(part: Mapping[str, Any]) -> str:
    return f"{part['agent']}: " if part.get("agent") else ""
