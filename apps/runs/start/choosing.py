"""Where a new run starts from: a preset, one's own or Kos's, a past run, a file, or nothing."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.guards import PageRequest, engineer
from apps.accounts.hits import number_in
from apps.runs.models import Run
from apps.runs.presets import PRESETS
from apps.runs.start import keeping, uploading
from apps.runs.start.uploading import UploadForm
from kos.config import JOBS
from kos.errors import UserError

SHOWN = 12
MAX_WORDS = 100


@engineer
@require_GET
def choose(request: PageRequest) -> HttpResponse:
    """Every way to begin; htmx gets the list of past runs alone."""
    if request.htmx and "q" in request.GET:
        return render(request, "runs/_past.html", past(request))
    return render(request, "runs/choose.html", page(request))


@engineer
@require_GET
def presets(request: PageRequest) -> HttpResponse:
    """The presets of one's own, to use, rename and delete; and Kos's, to start from."""
    return render(request, "runs/presets.html", page(request))


@engineer
@require_POST
def upload(request: PageRequest) -> HttpResponse:
    """A file with a config: the form of its kind opens with what it says."""
    form = UploadForm(request.POST, request.FILES)
    if form.is_valid():
        try:
            kind = uploading.keep(request.session, form.cleaned_data["file"])
        except UserError as error:
            form.add_error("file", str(error))
        else:
            return redirect(f"{reverse('runs:new', args=[kind])}?from={uploading.NAME}")
    return render(request, "runs/choose.html", page(request) | {"upload": form}, status=422)


@engineer
@require_POST
def rename_preset(request: PageRequest, pk: int) -> HttpResponse:
    """Another name for a preset of one's own."""
    try:
        kept = keeping.rename_preset(request.user, pk, request.POST.get("name", ""))
    except UserError as error:
        messages.error(request, str(error))
    else:
        if kept is None:
            raise Http404
        messages.success(request, f"Renamed to {kept.name}.")
    return redirect("runs:presets")


@engineer
@require_POST
def drop_preset(request: PageRequest, pk: int) -> HttpResponse:
    """Delete a preset of one's own; the runs that started from it stay."""
    kept = keeping.kept_by(request.user).filter(pk=pk).first()
    if kept is None or not keeping.delete_preset(request.user, pk):
        raise Http404
    messages.success(request, f"Deleted {kept.name}.")
    return redirect("runs:presets")


def page(request: PageRequest) -> dict[str, Any]:
    kinds = [
        (kind, model, {name: p for name, p in PRESETS.items() if p.kind == kind})
        for kind, model in JOBS.items()
    ]
    # The whole way first: most people come for it.
    kinds.sort(key=lambda row: row[0] != "pipeline")
    return past(request) | {
        "kinds": kinds,
        "kept": [(f"{keeping.PREFIX}{one.pk}", one) for one in keeping.kept_by(request.user)],
        "upload": UploadForm(),
    }


def past(request: PageRequest) -> dict[str, Any]:
    """The newest runs that fit the search, one's own unless everybody's are wanted."""
    words = request.GET.get("q", "").replace("\0", "")[:MAX_WORDS]
    is_all = request.GET.get("whose") == "all"
    runs = Run.objects.visible_to(request.user).filter(pipeline=None, is_archived=False)
    if not is_all:
        runs = runs.filter(owner=request.user)
    return {
        "q": words,
        "is_all": is_all,
        "past": fitting(runs, words).select_related("owner").order_by("-pk")[:SHOWN],
    }


def fitting(runs: QuerySet[Run], words: str) -> QuerySet[Run]:
    """The runs whose name, kind, number or tag has every word."""
    for word in words.split():
        wanted = (
            Q(name__icontains=word) | Q(kind__istartswith=word) | Q(tags__contains=[word.lower()])
        )
        if (pk := number_in(word)) is not None:
            wanted |= Q(pk=pk)
        runs = runs.filter(wanted)
    return runs
