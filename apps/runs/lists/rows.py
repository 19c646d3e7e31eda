"""The rows of the runs' list, drawn once for everybody who watches.

A row depends on its run alone, so what was drawn is kept until the run says something: a list
that is asked for every few seconds by many people draws only what changed.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import prefetch_related_objects
from django.template.loader import get_template
from django.utils.safestring import SafeString

from apps.runs.lists import trends
from apps.runs.models import ACTIVE, HELD, Run, RunQuerySet
from apps.runs.operations import waiting
from apps.runs.page import progress

KEPT_ROWS = 5000
# How long a moving row may stand: its time left and its silence change by themselves.
TICK_SECONDS = 8
REST_SECONDS = 300
VERSION = """
select coalesce((select max(id) from runs_event), 0),
       coalesce((select max(id) from runs_run), 0),
       exists(select 1 from runs_run where status = any(%s))
"""

Key = tuple[Any, ...]
_drawn: OrderedDict[Key, Row] = OrderedDict()


class Row(NamedTuple):
    """A row as HTML, and the run's number."""

    pk: int
    html: SafeString


class Light(NamedTuple):
    """What of a run tells whether its row has changed."""

    pk: int
    last_seq: int
    status: str
    attempt: int


def version() -> str:
    """Changes with whatever a list shows; one look at two indexes.

    Everything that changes a run is said in its log, so the newest event tells. The tick lets
    the time left move, and heals what a slow transaction slipped in below the newest number.
    """
    with connection.cursor() as cursor:
        cursor.execute(VERSION, [[*ACTIVE]])
        event, run, is_moving = cursor.fetchone()
    tick = int(time.time() / (TICK_SECONDS if is_moving else REST_SECONDS))
    return f"{event}.{run}.{tick}"


def rows(runs: RunQuerySet, columns: Sequence[str], *, limit: int) -> tuple[list[Row], bool]:
    """The first ``limit`` rows, and whether there are more."""
    lights = [Light(*values) for values in runs.values_list(*Light._fields)[: limit + 1]]
    is_more = len(lights) > limit
    del lights[limit:]
    places = _places(lights)
    keys = {light.pk: _key(light, columns, places.get(light.pk)) for light in lights}
    missing = [pk for pk, key in keys.items() if key not in _drawn]
    if missing:
        _draw(missing, keys, columns, places)
    for key in keys.values():
        _drawn.move_to_end(key)
    found = [_drawn[key] for key in keys.values()]
    while len(_drawn) > KEPT_ROWS:
        _drawn.popitem(last=False)
    return found, is_more


def forget() -> None:
    """Drop what was drawn."""
    _drawn.clear()


def _draw(
    missing: Sequence[int],
    keys: dict[int, Key],
    columns: Sequence[str],
    places: dict[int, int],
) -> None:
    runs = [*Run.objects.filter(pk__in=missing).select_related("owner", "dataset__dataset")]
    if "base" in columns:
        prefetch_related_objects(runs, "inputs__artifact")
    else:
        # Only these ask for their inputs: the others need not be looked up.
        prefetch_related_objects([run for run in runs if run.kind == "evaluate"], "inputs")
    curves = trends.trends(runs) if "trend" in columns else {}
    template = get_template("runs/_row.html")
    for run in runs:
        context = {
            "run": run,
            "columns": columns,
            "bar": progress.overall(run),
            "now": _present(run),
            "duration": progress.duration(run),
            "trend": curves.get(run.pk),
            "place": places.get(run.pk),
            "base": _base(run) if "base" in columns else None,
        }
        _drawn[keys[run.pk]] = Row(run.pk, SafeString(template.render(context)))


def _present(run: Run) -> progress.Bar | None:
    """What a pipeline's present stage is at: the whole has no pace."""
    if run.kind != "pipeline" or run.status not in HELD:
        return None
    return progress.present_stage(run)


def _base(run: Run) -> Any:
    return next((one.artifact for one in run.inputs.all() if one.name == "base"), None)


def _places(lights: Sequence[Light]) -> dict[int, int]:
    """The place in its queue of each run, if any of these waits."""
    if not any(light.status in waiting.WAITING for light in lights):
        return {}
    return waiting.places()


def _key(light: Light, columns: Sequence[str], place: int | None) -> Key:
    is_moving = light.status in ACTIVE
    tick = int(time.time() / TICK_SECONDS) if is_moving else 0
    return (*light, tuple(columns), place, tick)
