"""Datasets read: the list, a dataset with its versions, a version with its examples, an example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Sum
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.guards import PageRequest, engineer, member
from apps.accounts.models import User
from apps.datasets import (
    browsing,
    drafts,
    repeats,
    sentences,
    services,
    statistics,
    versions,
    work,
)
from apps.datasets.forms import BrowseForm
from apps.datasets.models import Dataset, DatasetVersion, Example, LabelSet, Work
from kos.errors import UserError

PAGE_SIZE = 50
SHOWN_RUNS = 8


@member
@require_GET
def list(request: PageRequest) -> HttpResponse:
    """Datasets with their latest version; what is counted stands in the version's row."""
    words, sort, shown = (request.GET.get(name, "") for name in ("q", "sort", "shown"))
    found = browsing.datasets(words, sort, shown=shown)
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    shown_sets = [*page]
    latest = browsing.latest_of(shown_sets)
    runs = browsing.used_by(shown_sets) if request.user.is_engineer else {}
    num_drafts = browsing.drafts_of(shown_sets)
    rows = [
        {
            "dataset": dataset,
            "version": latest.get(dataset.pk),
            "facts": _brief(latest.get(dataset.pk)),
            "num_runs": runs.get(dataset.pk, 0),
            "num_drafts": num_drafts.get(dataset.pk, 0),
        }
        for dataset in shown_sets
    ]
    context = {
        "page": page,
        "rows": rows,
        "sorts": [(name, label) for name, (label, _) in browsing.SORTS.items()],
        "shown": shown,
        "is_narrowed": bool(words or shown),
        "label_sets": LabelSet.objects.annotate(
            num=Count("answers"), labels=Sum("answers__num_labels")
        ),
    }
    return render(request, "datasets/list.html", context)


def _brief(version: DatasetVersion | None) -> dict[str, Any]:
    """How a version is split and decided, from the counts that lie in its row."""
    if version is None:
        return {}
    facts = statistics.facts_of(version)
    names = ("num_checked", "num_judged", "num_verified", "num_checkpoints")
    splits = dict(statistics.by_slice(facts["cells"], 0))
    return {name: facts[name] for name in names} | {
        "splits": [(split, splits[split]) for split in statistics.SPLITS if split in splits]
    }


@member
@require_GET
def dataset(request: PageRequest, pk: int) -> HttpResponse:
    """A dataset: its versions with what is new in each, and the drafts on their way."""
    found = get_object_or_404(Dataset, pk=pk)
    rows = found.versions.select_related("created_by", "base").order_by("-number")
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    opened = [*found.drafts.open().select_related("base", "created_by")]
    context = {
        "dataset": found,
        "page": page,
        "pairs": _followed([*page]),
        "drafts": [(draft, drafts.counts_of(opened)[draft.pk]) for draft in opened],
        "latest": page[0] if page.object_list else None,
    }
    return render(request, "datasets/dataset.html", context)


def _followed(
    rows: Sequence[DatasetVersion],
) -> Sequence[tuple[DatasetVersion, DatasetVersion | None]]:
    """Each version with the one before it, which its changes are shown against."""
    return [*zip(rows, [*rows[1:], None], strict=True)]


@member
@require_GET
def detail(request: PageRequest, pk: int) -> HttpResponse:
    """One version: what it holds in numbers, and its examples by search and filter."""
    version = get_object_or_404(DatasetVersion.objects.select_related("dataset"), pk=pk)
    facts = statistics.facts_of(version)
    form = BrowseForm(request.GET, facts["cells"])
    words = "" if version.is_restricted else form.words
    page = browsing.browse(
        version, form.chosen, words=words, after=form.place("after"), before=form.place("before")
    )
    marks = browsing.words_of(words)
    context = {
        "version": version,
        "form": form,
        "page": page,
        "rows": [
            (row, [] if version.is_restricted else _line(row, marks)) for row in page.examples
        ],
        "is_narrowed": bool(form.chosen or words.strip()),
        "statistics": statistics.present(facts),
        "repeats": work.latest(version, Work.Kind.REPEATS),
        "drafts": version.drafts.open(),
        **_context_of(version, request.user),
    }
    fragment = browsing.is_for(request, "browse")
    return render(
        request, "datasets/_browse.html" if fragment else "datasets/detail.html", context
    )


def _line(example: Example, marks: Sequence[str]) -> Sequence[tuple[str, bool]]:
    if example.task.get("restricted"):
        return []
    return browsing.marked(browsing.snippet(example.task, marks), marks)


def _context_of(version: DatasetVersion, user: User) -> dict[str, Any]:
    """What stands around a version: its neighbours, and the runs that used it."""
    runs = version.runs.visible_to(user) if user.is_engineer else version.runs.none()
    tested = version.benchmarked.visible_to(user) if user.is_engineer else version.runs.none()
    return {
        "others": version.dataset.versions.exclude(pk=version.pk).order_by("-number")[:20],
        "runs": runs.only("name", "kind", "status", "created")[:SHOWN_RUNS],
        "tested": tested.only("name", "kind", "status", "created")[:SHOWN_RUNS],
        "num_runs": runs.count(),
    }


@member
@require_GET
def example(request: PageRequest, pk: int) -> HttpResponse:
    """One prompt with its rubric. Benchmark text is never shown, only that it is there."""
    found = get_object_or_404(Example.objects.select_related("version__dataset"), pk=pk)
    siblings = found.version.examples.only("pk")
    task = browsing.task_of(found)
    context = {
        "example": found,
        "version": found.version,
        "task": task,
        "items": [
            {"item": item, "sentence": sentences.say(item.check) if item.check else ""}
            for item in (task.rubric if task else ())
        ],
        "repeats": repeats.of_example(found.version, found.external_id),
        "previous": siblings.filter(position__lt=found.position).last(),
        "next": siblings.filter(position__gt=found.position).first(),
        **_context_of(found.version, request.user),
    }
    return render(request, "datasets/example.html", context)


@engineer
@require_POST
def sample(request: PageRequest) -> HttpResponse:
    version = services.load_sample()
    messages.success(request, f"{version} stands, with {version.num_examples} prompts.")
    return redirect("datasets:detail", version.pk)


@engineer
@require_POST
def delete(request: PageRequest, pk: int) -> HttpResponse:
    """Forget a version that nothing uses: the undo of an import."""
    version = get_object_or_404(DatasetVersion.objects.select_related("dataset"), pk=pk)
    try:
        versions.delete_version(version)
    except UserError as error:
        messages.error(request, str(error))
        return redirect("datasets:detail", pk)
    messages.success(request, f"{version} is deleted.")
    if Dataset.objects.filter(pk=version.dataset_id).exists():
        return redirect("datasets:dataset", version.dataset_id)
    return redirect("datasets:list")
