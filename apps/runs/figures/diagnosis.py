"""What a training's numbers say in plain sentences: why it cannot learn, and what endangers it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from apps.runs.figures.numbers import PHASES, Finding, Level, Numbers, Setup, Step
from apps.runs.figures.rules import RULES

ORDER: dict[Level, int] = {"bad": 0, "warn": 1, "info": 2}


def diagnose(steps: Iterable[Step], setup: Setup | None = None) -> list[Finding]:
    """What is wrong or at risk by the newest of ``steps``, gravest first; empty when all is well."""
    ordered = sorted(steps, key=lambda step: step.number)
    if not ordered:
        return []
    numbers = Numbers(ordered)
    found = [rule(numbers, setup or Setup()) for rule in RULES]
    return sorted((one for one in found if one), key=lambda one: ORDER[one.level])


def time_shares(steps: Sequence[Step]) -> list[tuple[str, float, float]]:
    """Where a step's time goes lately: (phase, seconds, share), longest first."""
    numbers = Numbers(steps)
    spent = [(name, numbers.recent(f"time/{name}")) for name in PHASES]
    known = [(name, seconds) for name, seconds in spent if seconds is not None]
    whole = sum(seconds for _, seconds in known) or 1.0
    return sorted(
        ((name, seconds, seconds / whole) for name, seconds in known), key=lambda row: -row[1]
    )
