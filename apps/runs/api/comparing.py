"""Runs side by side over REST: what they were told, what they came to."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Schema
from ninja.errors import HttpError

from apps.automation.rest import Id
from apps.runs.api.shapes import router, visible
from apps.runs.figures import compare as comparison
from apps.runs.figures import scores
from apps.runs.models import Run


class CompareWanted(Schema):
    ids: list[Id] = Field(
        min_length=comparison.LEAST,
        max_length=comparison.MOST,
        description="The runs, in the order of the reply's lists.",
    )
    all: bool = Field(False, description="The knobs too that are the same in every run.")


class ComparedOut(Schema):
    """One of the runs; `charted` is the one whose numbers are told: of a pipeline its training."""

    id: int
    name: str
    kind: str
    status: str
    charted: int
    last_step: int | None


class KnobOut(Schema):
    """A knob by its dotted name, with a value a run; null where a config lacks it."""

    path: str
    help: str
    values: list[str | None]
    differs: bool


class MetricOut(Schema):
    """A metric's last number in each run; null where it has none."""

    name: str
    values: list[float | None]


class CellOut(Schema):
    text: str
    delta: str = Field(description="The difference to the first run.")
    is_best: bool


class ScoreOut(Schema):
    label: str
    cells: list[CellOut]


class TableOut(Schema):
    """Scores of one sort, with a cell a run."""

    title: str
    rows: list[ScoreOut]


class CompareOut(Schema):
    runs: list[ComparedOut]
    knobs: list[KnobOut]
    metrics: list[MetricOut]
    tables: list[TableOut]


@router.get(
    "/compare",
    response=CompareOut,
    summary="Set two to six runs side by side",
    # Its query, and not its path, names what may be missing.
    openapi_extra={"responses": {404: {"description": "Not Found"}}},
)
def compare(request: HttpRequest, wanted: Query[CompareWanted]) -> dict[str, Any]:
    """What differs in their configs, their last numbers, what they took, and evaluations of what
    they made. The numbers by step are at `metrics` of each."""
    found = comparison.compared(_asked(request, wanted.ids))
    knobs = comparison.knobs(found)
    names = sorted({name for one in found for name in one.lasts})
    return {
        "runs": [_row(one) for one in found],
        "knobs": [_knob(knob) for knob in knobs if wanted.all or knob.differs],
        "metrics": [
            {"name": name, "values": [one.lasts.get(name) for one in found]} for name in names
        ],
        "tables": [_table(table) for table in scores.tables(found, None)],
    }


def _asked(request: HttpRequest, ids: list[int]) -> list[Run]:
    wanted = [*dict.fromkeys(ids)]
    rows = visible(request).filter(pk__in=wanted).select_related("dataset__dataset", "pipeline")
    found = {run.pk: run for run in rows.prefetch_related("inputs__artifact")}
    if missing := [pk for pk in wanted if pk not in found]:
        raise HttpError(404, f"there is no run {', '.join(map(str, missing))}")
    return [found[pk] for pk in wanted]


def _row(one: comparison.Compared) -> dict[str, Any]:
    run = one.run
    about = {"id": run.pk, "name": run.name, "kind": run.kind, "status": run.status}
    return about | {"charted": one.charted.pk, "last_step": one.last_step}


def _knob(knob: comparison.Knob) -> dict[str, Any]:
    return {**knob._asdict(), "differs": knob.differs}


def _table(table: scores.Table) -> dict[str, Any]:
    rows = [
        {"label": row.label, "cells": [cell._asdict() for cell in row.cells]} for row in table.rows
    ]
    return {"title": table.title, "rows": rows}
