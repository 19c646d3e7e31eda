"""A file coming in: the form, its preview before anything is kept, and progress of long ones."""

from __future__ import annotations

import csv
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.guards import PageRequest, engineer, member
from apps.datasets import browsing, importing, uploads, work
from apps.datasets.forms import ImportForm, MappingForm
from apps.datasets.models import Work
from kos.errors import UserError

SHOWN_PROBLEMS = 50


@engineer
@require_http_methods(["GET", "POST"])
def import_(request: PageRequest) -> HttpResponse:
    """The form; a POST reads the file and shows what it holds before anything is saved."""
    form = ImportForm(request.POST or None, request.FILES or None)
    mapping = MappingForm(request.POST or None, prefix="map")
    if form.is_valid():
        try:
            found = _read(request, form, mapping)
        except UserError as error:
            form.add_error("file", str(error))
        else:
            if found.status != Work.Status.DONE:
                return redirect("datasets:work", found.pk)
            return _preview(request, found)
    context = {"form": form, "mapping": mapping}
    return render(request, "datasets/import.html", context, status=400 if form.errors else 200)


def _read(request: PageRequest, form: ImportForm, mapping: MappingForm) -> Work:
    ticket, path = uploads.keep(form.cleaned_data["file"], request.user)
    given = form.cleaned_data
    return importing.read(
        path,
        given["file"].name or "upload.jsonl",
        by=request.user,
        ticket=ticket,
        fields=mapping.told(),
        **{name: given[name] for name in ("name", "description", "note", "query")},
    )


@engineer
@require_POST
def save(request: PageRequest) -> HttpResponse:
    """Keep a previewed file as a version."""
    told: dict[str, Any] = {}
    read = Work.objects.filter(kind=Work.Kind.READ, by=request.user)
    before = read.filter(told__ticket=request.POST.get("ticket", "")).first()
    if before is not None:
        names = ("name", "description", "note", "query", "fields")
        told = {name: before.told.get(name, "") for name in names}
    try:
        path, original = uploads.find(request.POST.get("ticket", ""), request.user)
        found = importing.keep(path, original, by=request.user, **told)
    except UserError as error:
        messages.error(request, str(error))
        return redirect("datasets:import")
    return _leave(request, found)


@member
@require_GET
def progress(request: PageRequest, pk: int) -> HttpResponse:
    """How far a piece of work is; when it is done, what came of it."""
    found = get_object_or_404(Work, pk=pk)
    if not request.user.is_engineer and found.by_id != request.user.pk:
        raise Http404
    if found.status == Work.Status.DONE and not request.htmx:
        return _preview(request, found) if found.kind == Work.Kind.READ else _leave(request, found)
    context = {
        "work": found,
        "is_open": found.status in (Work.Status.WAITING, Work.Status.RUNNING),
        "is_silent": work.is_silent(found),
        "back": _back(found),
    }
    fragment = browsing.is_for(request, "work")
    return render(request, "datasets/_work.html" if fragment else "datasets/work.html", context)


@engineer
@require_GET
def problems(request: PageRequest, pk: int) -> HttpResponse:
    """Every line that cannot be used, as CSV."""
    found = get_object_or_404(Work, pk=pk, kind=Work.Kind.READ)
    response = HttpResponse(content_type="text/csv")
    response["Content-Disposition"] = f'attachment; filename="problems-{pk}.csv"'
    writer = csv.writer(response)
    writer.writerow(["line", "problem"])
    for row in found.result.get("problems", ()):
        # A cell that begins with = would be a formula.
        text = str(row["text"])
        writer.writerow([row["line"], f"'{text}" if text[:1] in "=+-@" else text])
    return response


def _preview(request: PageRequest, found: Work) -> HttpResponse:
    report = found.result
    context = {
        "work": found,
        "report": report,
        "told": found.told,
        "ticket": found.told.get("ticket", ""),
        "problems": report["problems"][:SHOWN_PROBLEMS],
        "num_more": max(0, report["num_problems"] - SHOWN_PROBLEMS),
        "notices": report.get("notices", [])[:SHOWN_PROBLEMS],
    }
    return render(request, "datasets/preview.html", context)


def _leave(request: PageRequest, found: Work) -> HttpResponse:
    """Go to what the work made, or wait for it."""
    if found.status != Work.Status.DONE:
        return redirect("datasets:work", found.pk)
    if found.result.get("said"):
        messages.success(request, found.result["said"])
    if "labels" in found.result:
        return redirect("datasets:labels", found.result["labels"])
    if "version" in found.result:
        return redirect("datasets:detail", found.result["version"])
    return redirect(_back(found))


def _back(found: Work) -> str:
    """Where somebody goes who does not want to wait."""
    if found.kind == Work.Kind.REPEATS and found.version_id:
        return reverse("datasets:repeats", args=[found.version_id])
    if found.kind == Work.Kind.PUBLISH:
        return reverse("datasets:draft", args=[found.told["draft"]])
    return reverse("datasets:import")
