"""The curriculum designer: a page of its own for the course of a length bonus.

It takes a run's form as typed, shows its bonus as a table and as live curves, and gives the form
back with the chosen course.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from apps.accounts.guards import PageRequest, engineer
from apps.runs.start import courses
from apps.runs.start.changes import typed
from apps.runs.start.drafts import model_of, sent
from apps.runs.start.inputs import InputsForm
from apps.runs.start.parts import config_form, part_at
from kos.config import JOBS, Train
from kos.rl.rewards.conciseness import ConcisenessBonus

ACTION = "course"
# What a button does with the table before it is shown.
ACTIONS = {
    "moment": courses.with_moment,
    "stage-2": courses.like_stage_2,
    "constant": courses.constant,
}
# The designer's own fields, which the run's form has no use for.
OWN = (ACTION, "edit", "csrfmiddlewaretoken")


@engineer
@require_http_methods(["GET", "POST"])
def designer(request: PageRequest) -> HttpResponse:
    """The bonus of the form that is posted, or of Kos-1's first stage."""
    kind = request.GET.get("kind", "train")
    path = request.GET.get("path", "rewards-0")
    data = request.POST.dict() if request.method == "POST" else _fresh(kind)
    bonus = part_at(config_form(model_of(kind), data), path)
    if bonus is None or bonus.schema is not ConcisenessBonus or bonus.is_list:
        raise Http404
    if (change := ACTIONS.get(request.POST.get(ACTION, ""))) is not None:
        data = change(data, path)
    template = "runs/_course.html" if request.htmx else "runs/designer.html"
    return render(request, template, _context(request, kind, path, data))


def _context(
    request: PageRequest, kind: str, path: str, data: Mapping[str, Any]
) -> dict[str, Any]:
    course = courses.table(data, path)
    lines = courses.with_lines(data, path)
    shown = {row.start_name for row in course.rows} | {"run-dataset", f"{path}-curriculum"}
    query = request.GET.copy()
    for name in ("kind", "path"):
        query.pop(name, None)
    back = reverse("runs:new", args=[kind])
    return {
        "kind": kind,
        "path": path,
        "course": course,
        "is_full": len(course.moments) >= courses.MAX_MOMENTS,
        "lines": lines.get(f"{path}-curriculum", ""),
        "dataset": InputsForm(JOBS[kind], data)["dataset"],
        "carried": [
            (name, value) for name, value in lines.items() if name not in shown and name not in OWN
        ],
        "back": f"{back}?{query.urlencode()}" if query else back,
    }


def _fresh(kind: str) -> dict[str, str]:
    """What the untouched form of ``kind`` would send."""
    if kind != "train":
        raise Http404
    form = config_form(Train, initial=Train().model_dump(mode="json"))
    return typed(form) | sent(InputsForm(Train))
