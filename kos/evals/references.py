"""Published numbers to set beside one's own, each with its source and how it was computed.

The same model under two implementations gets two numbers (a per-example clip lifts a HealthBench
Hard score from 3.8 to 11.9), so a row names its implementation and its mode, and rows of two
modes are never in one table. Rows are in ``references.json``; none is computed here.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import NamedTuple

from kos.evals.scores import Mode


class Reference(NamedTuple):
    """One published number, in the unit the source prints it in."""

    benchmark: str
    system: str
    slice: str
    metric: str
    value: float
    unit: str
    mode: str
    source: str
    implementation: str
    note: str = ""


@cache
def references() -> tuple[Reference, ...]:
    """All rows, in the order of the file."""
    text = (resources.files("kos.evals") / "references.json").read_text(encoding="utf-8")
    return tuple(Reference(**row) for row in json.loads(text))


def benchmarks() -> list[str]:
    """The benchmarks there are rows for."""
    return list(dict.fromkeys(row.benchmark for row in references()))


def beside(benchmark: str, mode: Mode, *, place: str = "all") -> list[Reference]:
    """Rows that may stand beside a score of ``benchmark`` in ``mode``, best first.

    ``place`` is "all" or a slice as reports name it ("use case: writing").
    """
    return sorted(
        (
            row
            for row in references()
            if row.benchmark == benchmark
            and row.slice == place
            and row.mode == mode.label
            and row.metric == "score"
        ),
        key=lambda row: -row.value,
    )
