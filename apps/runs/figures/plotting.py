"""The metrics of a run as a page, as the data that charts draw, and as a file."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBadRequest, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.guards import PageRequest, engineer
from apps.accounts.numerals import number
from apps.accounts.streaming import Streamed
from apps.runs.figures import charts as panels
from apps.runs.figures import metrics as numbers
from apps.runs.figures import pinning
from apps.runs.figures.numbers import Step
from apps.runs.models import Run
from apps.runs.page.frame import frame, visible_run

MAX_POINTS = 10_000
MAX_NAMES = 200
# A file is written from so many steps at a time.
STEPS_AT_ONCE = 2000


@engineer
@require_GET
def charts(request: PageRequest, pk: int) -> HttpResponse:
    """Every metric of a run, in sections."""
    run = visible_run(request, pk)
    known = numbers.names(run)
    query = request.GET.get("q", "").strip()
    context = frame(run, "metrics") | {
        "charted": run,
        "groups": _narrowed(pinning.sections(run, request.user, known), query),
        "num_names": len(known),
        "q": query,
        "last": numbers.last_step(run),
        "table": panels.table(run),
    }
    return render(request, "runs/charts.html", context)


@engineer
@require_GET
def metrics(request: PageRequest, pk: int) -> HttpResponse:
    """The curves of the metrics asked for; ``after`` and ``until`` cut a range out of them."""
    run = visible_run(request, pk)
    known = numbers.names(run)
    wanted = request.GET.getlist("name")
    if len(wanted) > MAX_NAMES:
        return HttpResponseBadRequest(f"At most {MAX_NAMES} metrics can be asked for at once.")
    found = numbers.series(
        run,
        panels.expand(wanted, known) if wanted else known,
        points=min(_number(request, "points") or numbers.POINTS, MAX_POINTS),
        after=_number(request, "after"),
        until=_number(request, "until"),
        is_averaged="mean" in request.GET,
    )
    curves = {name: _short(curve) for name, curve in found.items()}
    return JsonResponse({"names": known, "curves": curves, "last_seq": run.last_seq})


@engineer
@require_POST
def pin_panel(request: PageRequest, pk: int) -> HttpResponse:
    """Keep a panel on the overview of such runs, or let it go."""
    run = visible_run(request, pk)
    key = " ".join(request.POST.get("names", "").split())
    if not key or len(key) > 400:
        return HttpResponseBadRequest("A panel is named by its metrics, in 1 to 400 letters.")
    is_pinned = pinning.pin(run.kind, request.user, key)
    if request.htmx:
        panel = panels.Panel(panels.words(key), "", tuple(key.split()), is_pinned=is_pinned)
        return render(request, "runs/_pin.html", {"run": run, "panel": panel})
    where = f"the overview of every {run.kind} run"
    messages.success(request, f"Now on {where}." if is_pinned else f"No longer on {where}.")
    return redirect("runs:charts", pk)


@engineer
@require_GET
def download(request: PageRequest, pk: int) -> HttpResponse | Streamed:
    """All numbers, or those named, as CSV or JSON, a few steps at a time."""
    run = visible_run(request, pk)
    known = numbers.names(run)
    wanted = request.GET.getlist("name")
    chosen = panels.expand(wanted, known) if wanted else known
    kind = request.GET.get("format", "csv")
    if kind not in WRITERS:
        return HttpResponseBadRequest("Numbers are written as csv or json.")
    content_type, write = WRITERS[kind]
    answer = Streamed(write(run, chosen), content_type=content_type)
    name = f"run-{run.pk}-metrics.{kind}"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _narrowed(groups: Sequence[panels.PanelGroup], query: str) -> list[panels.PanelGroup]:
    """The panels that have every word of ``query`` in their title or in a metric's name."""
    asked = query.lower().split()
    found = [
        group._replace(
            panels=tuple(
                panel
                for panel in group.panels
                if all(
                    word in f"{group.title} {panel.title} {panel.key}".lower() for word in asked
                )
            )
        )
        for group in groups
    ]
    return [group for group in found if group.panels]


def _number(request: PageRequest, name: str) -> int | None:
    # Nine digits are more steps than any run has, and fit the database's integers.
    return number(request.GET.get(name, "")[:9], most=9)


def _short(curve: numbers.Curve) -> dict[str, Any]:
    """A curve for the browser: as exact as a screen can be, half as long."""
    told: dict[str, Any] = {
        "steps": curve.steps,
        "values": [_rounded(value) for value in curve.values],
        "at": curve.at,
        "count": curve.num_values,
    }
    if curve.is_thinned:
        told["means"] = [_rounded(mean) for mean in curve.means]
    return told


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.7g}")


class _Line:
    """What ``csv`` writes to: it gives each line back."""

    def write(self, text: str) -> str:
        return text


def _csv(run: Run, names: Sequence[str]) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield writer.writerow(["step", *names])
    for step in _steps(run, names):
        yield writer.writerow([step.number, *(step.metrics.get(name) for name in names)])


def _json(run: Run, names: Sequence[str]) -> Iterator[str]:
    head = json.dumps({"run": run.pk, "name": run.name, "metrics": [*names]})
    yield f'{head[:-1]}, "steps": ['
    for place, step in enumerate(_steps(run, names)):
        told = json.dumps({"step": step.number, "metrics": step.metrics})
        yield f"{',' if place else ''}\n{told}"
    yield "\n]}\n"


def _steps(run: Run, names: Sequence[str]) -> Iterator[Step]:
    found = numbers.ends(run, names).values()
    if not found:
        return
    first, last = min(one.first for one in found), max(one.last for one in found)
    for after in range(first - 1, last, STEPS_AT_ONCE):
        yield from numbers.steps(run, names, after=after, until=after + STEPS_AT_ONCE)


WRITERS = {"csv": ("text/csv; charset=utf-8", _csv), "json": ("application/json", _json)}
