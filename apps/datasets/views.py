"""Datasets: the list, a version with its examples, and the import with its preview."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Sum
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.guards import PageRequest, engineer, reader
from apps.datasets import sentences, services, statistics, uploads
from apps.datasets.forms import ExampleFilter, ImportForm
from apps.datasets.models import DatasetVersion, Example
from kos.data.readers import ImportReport, read_file
from kos.errors import UserError

PAGE_SIZE = 50
SHOWN_PROBLEMS = 50


@reader
@require_GET
def list(request: PageRequest) -> HttpResponse:
    versions = DatasetVersion.objects.select_related("dataset")
    counted = versions.annotate(
        num_examples=Count("examples"), num_items=Sum("examples__num_items")
    ).order_by("-created", "-pk")
    page = Paginator(counted, PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "datasets/list.html", {"page": page})


@reader
@require_GET
def detail(request: PageRequest, pk: int) -> HttpResponse:
    """One version: what it holds in numbers, and its examples by filter."""
    version = get_object_or_404(DatasetVersion.objects.select_related("dataset"), pk=pk)
    form = ExampleFilter(request.GET, version)
    examples = form.narrow(version.examples.defer("version"))
    context = {
        "version": version,
        "others": version.dataset.versions.exclude(pk=pk),
        "form": form,
        "page": Paginator(examples, PAGE_SIZE).get_page(request.GET.get("page")),
        "statistics": statistics.summarise(version),
    }
    return render(request, "datasets/detail.html", context)


@reader
@require_GET
def example(request: PageRequest, pk: int) -> HttpResponse:
    """One prompt with its rubric. Benchmark text is never shown, only that it is there."""
    found = get_object_or_404(Example.objects.select_related("version__dataset"), pk=pk)
    siblings = found.version.examples
    context = {
        "example": found,
        "version": found.version,
        "task": None if is_hidden(found) else found.rubric_task,
        "items": [] if is_hidden(found) else _items(found),
        "previous": siblings.filter(position__lt=found.position).last(),
        "next": siblings.filter(position__gt=found.position).first(),
    }
    return render(request, "datasets/example.html", context)


@engineer
@require_http_methods(["GET", "POST"])
def import_(request: PageRequest) -> HttpResponse:
    """The form; a POST reads the file and shows what it holds before anything is saved."""
    form = ImportForm(request.POST or None, request.FILES or None)
    preview: dict[str, Any] = {}
    if form.is_valid():
        try:
            preview = _preview(request, form)
        except UserError as error:
            form.add_error("file", str(error))
    context = {"form": form, **preview}
    return render(request, "datasets/import.html", context, status=400 if form.errors else 200)


@engineer
@require_POST
def save(request: PageRequest) -> HttpResponse:
    """Keep a previewed file as a version."""
    try:
        path, original = uploads.find(request.POST.get("ticket", ""), request.user)
        version, report = services.import_file(
            request.POST.get("name", "").strip() or original,
            path,
            user=request.user,
            description=request.POST.get("description", ""),
            source=original,
        )
    except UserError as error:
        messages.error(request, str(error))
        return redirect("datasets:import")
    path.unlink(missing_ok=True)
    messages.success(request, f"{version} stands, with {len(report.tasks)} prompts.")
    return redirect("datasets:detail", version.pk)


@engineer
@require_POST
def sample(request: PageRequest) -> HttpResponse:
    version = services.load_sample()
    messages.success(request, f"{version} stands, with {version.examples.count()} prompts.")
    return redirect("datasets:detail", version.pk)


def is_hidden(example: Example) -> bool:
    return bool(example.version.is_restricted or example.task.get("restricted"))


def _items(example: Example) -> Any:
    return [
        {"item": item, "sentence": sentences.say(item.check) if item.check else ""}
        for item in example.rubric_task.rubric
    ]


def _preview(request: PageRequest, form: ImportForm) -> dict[str, Any]:
    ticket, path = uploads.keep(form.cleaned_data["file"], request.user)
    report: ImportReport = read_file(path)
    return {
        "report": report,
        "ticket": ticket,
        "problems": report.problems[:SHOWN_PROBLEMS],
        "num_more": max(0, len(report.problems) - SHOWN_PROBLEMS),
        "num_items": sum(len(task.rubric) for task in report.tasks),
        "shown": report.tasks[:10],
    }
