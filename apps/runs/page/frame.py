"""What the pages of one run share: the run, the frame around its tabs, results as rows."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404

from apps.accounts.guards import PageRequest
from apps.runs.models import Run
from apps.runs.page import lines, overview
from kos.config import JOBS


def visible_run(request: PageRequest, pk: int) -> Run:
    visible = Run.objects.visible_to(request.user)
    return get_object_or_404(
        visible.select_related("owner", "dataset__dataset", "pipeline"), pk=pk
    )


def frame(run: Run, tab: str) -> dict[str, Any]:
    """What every tab of a run shows around its own content."""
    return {"run": run, "tab": tab, "label": JOBS[run.kind].label(), **overview.head(run)}


def flatten(summary: Any, *, above: str = "") -> dict[str, str]:
    """Nested JSON as one row a value, for a table: ``{"train / reward": "0.41"}``."""
    if isinstance(summary, dict):
        rows: dict[str, str] = {}
        for key, value in summary.items():
            rows |= flatten(value, above=f"{above} / {key}" if above else str(key))
        return rows
    if isinstance(summary, (tuple, type([]))):
        summary = ", ".join(lines.number(value) for value in summary)
    return {above.replace("_", " "): lines.number(summary)}
