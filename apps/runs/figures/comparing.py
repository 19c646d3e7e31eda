"""The page that sets two to six runs side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from apps.accounts.guards import PageRequest, engineer
from apps.accounts.numerals import number
from apps.runs.figures import charts, scores
from apps.runs.figures import compare as comparison
from apps.runs.models import Run
from apps.runs.start import costing
from kos.config import JOBS

# How many runs the menu offers; any other is added by its number.
OFFERED = 40


class Asked(NamedTuple):
    """The runs of the address: those shown, and the numbers that had to stay out."""

    runs: list[Run]
    unknown: list[str]
    too_many: list[int]


@engineer
@require_GET
def compare(request: PageRequest) -> HttpResponse:
    """Charts over one another, what differs in the configs, and the scores."""
    ids = [word for text in request.GET.getlist("ids") for word in _words(text)]
    if "add" in request.GET:
        added = [word for text in request.GET.getlist("add") for word in _meant(request, text)]
        return redirect(_address(dict.fromkeys([*ids, *added])))
    asked = _asked(request, ids)
    found = comparison.compared(asked.runs)
    knobs = comparison.knobs(found)
    is_whole = "all" in request.GET
    context = {
        "found": found,
        "asked": asked,
        "most": comparison.MOST,
        "links": [(one, _without(asked.runs, one.run)) for one in found],
        "ids": ",".join(str(run.pk) for run in asked.runs),
        "offered": _offered(request, asked.runs),
        "groups": comparison.sections(found),
        "num_drawn": sum(bool(one.lasts) for one in found),
        "silent": [one for one in found if not one.lasts],
        "knobs": [knob for knob in knobs if is_whole or knob.differs],
        "num_knobs": len(knobs),
        "num_different": sum(knob.differs for knob in knobs),
        "is_whole": is_whole,
        "tables": scores.tables(found, costing.prices_form(request.session).prices),
    }
    return render(request, "runs/compare.html", context)


def _words(text: str) -> list[str]:
    return text.replace(",", " ").replace("#", " ").split()


def _meant(request: PageRequest, text: str) -> list[str]:
    """The numbers of the runs that somebody typed, or of the newest one with that name."""
    words = _words(text)
    if all(number(word) is not None for word in words):
        return words
    visible = Run.objects.visible_to(request.user)
    named = visible.filter(name__iexact=text.strip()).first()
    named = named or visible.filter(name__icontains=text.strip()).first()
    if named is None:
        messages.warning(request, f"No run that you can see is called “{text.strip()[:80]}”.")
        return []
    return [str(named.pk)]


def _asked(request: PageRequest, ids: Sequence[str]) -> Asked:
    """The runs in the order of the address, the first six of them."""
    named = {word: number(word) for word in dict.fromkeys(ids)}
    numbers = [pk for pk in dict.fromkeys(named.values()) if pk is not None]
    visible = Run.objects.visible_to(request.user).filter(pk__in=numbers)
    rows = visible.select_related("owner", "dataset__dataset", "pipeline")
    by_number = {run.pk: run for run in rows.prefetch_related("inputs__artifact")}
    there = [by_number[pk] for pk in numbers if pk in by_number]
    unknown = [word for word, pk in named.items() if pk not in by_number]
    most = comparison.MOST
    return Asked(there[:most], unknown, [run.pk for run in there[most:]])


def _offered(request: PageRequest, shown: Sequence[Run]) -> list[Run]:
    """The newest runs that could be added, those of the same kind first."""
    if len(shown) >= comparison.MOST:
        return []
    kinds = {run.kind for run in shown} or {*charts.PANELS}
    others = Run.objects.visible_to(request.user).exclude(pk__in=[run.pk for run in shown])
    others = others.filter(pipeline=None, is_archived=False).only("pk", "name", "kind")
    alike = [*others.filter(kind__in=kinds)[:OFFERED]]
    return alike or [*others.filter(kind__in=JOBS)[:OFFERED]]


def _without(runs: Sequence[Run], left_out: Run) -> str:
    return _address(str(run.pk) for run in runs if run.pk != left_out.pk)


def _address(ids: Iterable[str]) -> str:
    return f"{reverse('runs:compare')}?ids={','.join(ids)}"
