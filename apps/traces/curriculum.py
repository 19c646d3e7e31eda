"""The curriculum designer's answer to the form: pictures of the length bonus that it describes."""

from __future__ import annotations

from typing import NamedTuple

from django.db.models import Q
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST
from pydantic import ValidationError

from apps.accounts.guards import PageRequest, engineer
from apps.accounts.numerals import number
from apps.runs.models import Run, Status
from apps.runs.start.forms import ConfigForm
from apps.runs.start.parts import config_form
from apps.traces.designer import Design, Length, design
from apps.traces.models import Trace
from kos.config import JOBS
from kos.rl.rewards.conciseness import ConcisenessBonus

MAX_LENGTHS = 2000


class Designed(NamedTuple):
    """One stage of the form, drawn; or why it cannot be."""

    title: str
    design: Design | None
    problem: str = ""


@engineer
@require_POST
def preview(request: PageRequest, kind: str) -> HttpResponse:
    """Every length bonus among the form's rewards over the newest lengths on its dataset."""
    if kind not in JOBS:
        raise Http404
    form = config_form(JOBS[kind], request.POST)
    stages = [part for part in form.all_forms() if part.schema is ConcisenessBonus and part.prefix]
    source = newest_source(request.POST.get("run-dataset", "")) if stages else None
    lengths = lengths_of(source) if source else []
    context = {
        "kind": kind,
        "designs": [_designed(part, lengths) for part in stages if not part.is_list],
        "source": source,
        "num_lengths": len(lengths),
    }
    return render(request, "traces/_curriculum.html", context)


def newest_source(dataset: str) -> Run | None:
    """The newest finished run that answered prompts of this dataset version; else of any."""
    version = number(dataset)
    runs = Run.objects.filter(
        Q(kind="train") | Q(kind="evaluate"), status=Status.DONE, traces__isnull=False
    )
    on_it = runs.none() if version is None else runs.filter(dataset_id=version)
    return on_it.order_by("-pk").first()


def lengths_of(run: Run) -> list[Length]:
    """The lengths of the run's newest answers."""
    rows = Trace.objects.filter(run=run).order_by("-pk")
    found = rows.values_list("num_tokens", "num_answer_tokens", "score")[:MAX_LENGTHS]
    return [Length(*row) for row in found]


def _designed(part: ConfigForm, lengths: list[Length]) -> Designed:
    part.is_valid()
    if not all(form.is_valid() for form in part.all_forms()):
        return Designed(part.title, None, "Some of its numbers are missing or out of range.")
    try:
        stage = ConcisenessBonus.model_validate(part.payload())
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        return Designed(part.title, None, said)
    return Designed(part.title, design(stage, lengths))
