"""What helps while the form is filled in: checking it, its cost, a file, a kept preset."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from apps.accounts.guards import PageRequest, engineer
from apps.runs.start import keeping, saying
from apps.runs.start.drafts import Draft
from apps.runs.start.showing import beside, cost_of, page
from kos.errors import UserError


@engineer
@require_POST
def validate(request: PageRequest, kind: str) -> HttpResponse:
    """Every fault of what is typed so far, and all that follows from it, a fragment each."""
    draft = Draft(request, kind, request.POST)
    answer = render(request, "runs/_beside.html", beside(request, draft, prices=request.POST))
    answer.status_code = 422 if draft.problems else 200
    return answer


@engineer
@require_POST
def cost(request: PageRequest, kind: str) -> HttpResponse:
    """What the training of the form would cost, by the prices that came along."""
    draft = Draft(request, kind, request.POST)
    context = {"kind": kind} | cost_of(request, draft, request.POST)
    return render(request, "runs/_estimate.html", context)


@engineer
@require_POST
def download_form(request: PageRequest, kind: str) -> HttpResponse:
    """What is typed, as a file that the form and the ``kos`` command read."""
    draft = Draft(request, kind, request.POST)
    if draft.body is None:
        return _faulty(request, draft)
    text = saying.as_yaml(draft.body)
    return HttpResponse(
        text,
        content_type="application/yaml; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{kind}.yaml"'},
    )


@engineer
@require_POST
def keep(request: PageRequest, kind: str) -> HttpResponse:
    """Keep what is typed as a preset of one's own."""
    draft = Draft(request, kind, request.POST)
    name, note = request.POST.get("preset-name", ""), request.POST.get("preset-description", "")
    if draft.config is None:
        return _kept(request, draft, error="Mend the knobs first; then they can be kept.")
    try:
        kept = keeping.keep_preset(request.user, kind, name, note, draft.config)
    except UserError as error:
        return _kept(request, draft, error=str(error))
    if request.htmx:
        return render(request, "runs/_keep.html", {"kind": kind, "kept": kept})
    messages.success(request, f"Kept as {kept.name}.")
    return redirect(f"{reverse('runs:new', args=[kind])}?preset={keeping.PREFIX}{kept.pk}")


def _kept(request: PageRequest, draft: Draft, *, error: str) -> HttpResponse:
    if not request.htmx:
        messages.error(request, error)
        return _faulty(request, draft)
    context = {"kind": draft.kind, "error": error, "typed": request.POST.get("preset-name", "")}
    return render(request, "runs/_keep.html", context, status=422)


def _faulty(request: PageRequest, draft: Draft) -> HttpResponse:
    """The form again, with what is wrong with it."""
    return render(request, "runs/new.html", page(request, draft), status=422)
