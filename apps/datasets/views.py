"""Datasets: the list, a version with its examples, and the import with its preview."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Sum
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.guards import PageRequest, engineer, reader
from apps.datasets import sentences, services, statistics, uploads
from apps.datasets.forms import ExampleFilter, ImportForm, MappingForm
from apps.datasets.models import DatasetVersion, Example, LabelSet
from kos.data.labels import read_labels
from kos.data.readers import kind_of, read_file
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
    label_sets = LabelSet.objects.annotate(num=Count("answers"), labels=Sum("answers__num_labels"))
    return render(request, "datasets/list.html", {"page": page, "label_sets": label_sets})


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
    mapping = MappingForm(request.POST or None, prefix="map")
    preview: dict[str, Any] = {}
    if form.is_valid():
        try:
            preview = _preview(request, form, mapping)
        except UserError as error:
            form.add_error("file", str(error))
    context = {"form": form, "mapping": mapping, **preview}
    return render(request, "datasets/import.html", context, status=400 if form.errors else 200)


@engineer
@require_POST
def save(request: PageRequest) -> HttpResponse:
    """Keep a previewed file as a version."""
    try:
        path, original = uploads.find(request.POST.get("ticket", ""), request.user)
        page, said = _keep(request, path, original)
    except UserError as error:
        messages.error(request, str(error))
        return redirect("datasets:import")
    path.unlink(missing_ok=True)
    messages.success(request, said)
    return page


def _keep(request: PageRequest, path: Path, original: str) -> tuple[HttpResponse, str]:
    """Save the file as what it is; returns where to go and what to say."""
    name = request.POST.get("name", "").strip() or original
    if kind_of(path) == "labels":
        found, labels = services.import_labels(name, path, user=request.user, source=original)
        said = f"{found} stands, with {labels.num_labels} labels."
        return redirect("datasets:labels", found.pk), said
    version, report = services.import_file(
        name,
        path,
        user=request.user,
        description=request.POST.get("description", ""),
        source=original,
        fields=MappingForm(request.POST, prefix="map").field_map(),
        query=request.POST.get("query", ""),
    )
    said = f"{version} stands, with {len(report.tasks)} prompts."
    return redirect("datasets:detail", version.pk), said


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


def _preview(request: PageRequest, form: ImportForm, mapping: MappingForm) -> dict[str, Any]:
    ticket, path = uploads.keep(form.cleaned_data["file"], request.user)
    kind = kind_of(path)
    if kind == "finished":
        raise UserError(
            "this is a finished evaluation, with verdicts in it; import it under Evaluations"
        )
    if kind == "labels":
        return {"labels": read_labels(path), "ticket": ticket}
    report = read_file(path, fields=mapping.field_map(), query=form.cleaned_data["query"])
    return {
        "report": report,
        "ticket": ticket,
        "problems": report.problems[:SHOWN_PROBLEMS],
        "num_more": max(0, len(report.problems) - SHOWN_PROBLEMS),
        "notices": report.notices[:SHOWN_PROBLEMS],
        "num_items": sum(len(task.rubric) for task in report.tasks),
        "num_verified": sum(task.verifier is not None for task in report.tasks),
        "shown": report.tasks[:10],
        "kept_fields": [
            (name, request.POST[name]) for name in request.POST if name.startswith("map-")
        ],
    }
