"""The form that starts a run, and its parts that are drawn anew while it is filled in."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import trigger_client_event

from apps.accounts.guards import PageRequest, engineer
from apps.runs import services
from apps.runs.models import Run
from apps.runs.start import editing, once, starts
from apps.runs.start.drafts import Draft, edited_part, model_of
from apps.runs.start.forms import KIND
from apps.runs.start.parts import config_form, find_part, part_at
from apps.runs.start.showing import page
from kos.config import JobConfig
from kos.errors import UserError

# What the form hears when a part of it was drawn anew: it is checked again then.
KNOBS = "knobs"


@engineer
@require_http_methods(["GET", "POST"])
def new(request: PageRequest, kind: str) -> HttpResponse:
    """The form of ``kind``, filled from where the address says; a POST starts the run."""
    model_of(kind)
    if request.method == "GET":
        return render(request, "runs/new.html", page(request, Draft(request, kind)))
    if editing.EDIT in request.POST:
        draft = Draft.edited(request, kind, request.POST[editing.EDIT])
        return render(request, "runs/new.html", page(request, draft))
    draft = Draft(request, kind, request.POST)
    run = _launch(request, draft)
    if run is not None:
        return redirect("runs:detail", run.pk)
    return render(request, "runs/new.html", page(request, draft), status=422)


@engineer
@require_GET
def part(request: PageRequest, kind: str, path: str) -> HttpResponse:
    """The knobs of a named choice, after another kind was picked in its menu."""
    model, wanted = model_of(kind), request.GET.get(f"{path}-{KIND}", "")
    found = find_part(model, path, wanted)
    if found is None:
        raise Http404
    # Back at the kind that the form started with, its knobs are those of the start again.
    started = part_at(config_form(model, initial=starts.start_of(request, kind).config), path)
    if started is not None and started.schema is found.schema:
        started.is_entry = found.is_entry
        found = started
    return _drawn(request, "runs/_part.html", kind, found)


@engineer
@require_POST
def edit(request: PageRequest, kind: str) -> HttpResponse:
    """A part after an entry of it was added, removed or moved, or after it was reset."""
    _form, changed = edited_part(request, kind, request.POST.get(editing.EDIT, ""))
    if changed is None:
        raise Http404
    return _drawn(request, "runs/_part.html", kind, changed)


def _launch(request: PageRequest, draft: Draft) -> Run | None:
    if draft.problems:
        return None
    form, inputs = draft.checked
    config = form.config
    assert isinstance(config, JobConfig)
    try:
        run = once.started(
            request.user,
            request.path,
            request.POST,
            lambda: services.launch(request.user, draft.kind, config, **inputs.given),
        )
    except UserError as error:
        inputs.add_error(None, str(error))
        del draft.problems
        return None
    messages.success(request, f"{run.name} is queued.")
    return run


def _drawn(request: PageRequest, template: str, kind: str, part: Any) -> HttpResponse:
    answer = render(request, template, {"part": part, "kind": kind})
    trigger_client_event(answer, KNOBS, after="receive")
    return answer
