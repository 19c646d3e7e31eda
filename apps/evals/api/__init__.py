"""Evaluations over REST: reports, numbers, examples, comparisons, judges, benchmarks, the gate."""

from __future__ import annotations

from apps.evals.api import benchmarks, examples, imports, judges, reports, sheets, trying
from apps.evals.api.room import router

__all__ = [
    "benchmarks",
    "examples",
    "imports",
    "judges",
    "reports",
    "router",
    "sheets",
    "trying",
]
