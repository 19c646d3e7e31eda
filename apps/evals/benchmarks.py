"""The benchmarks: what each measures, what was published on it, and how to begin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.contrib import messages
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.guards import PageRequest, engineer, reader
from apps.accounts.models import User
from apps.datasets.models import DatasetVersion, LabelSet
from apps.datasets.services import keep_version
from kos.evals.benchmarks import BENCHMARKS, Benchmark
from kos.evals.benchmarks.base import find
from kos.evals.references import Reference, references

SHOWN_REFERENCES = 8


class Card(NamedTuple):
    """A benchmark as its page shows it. ``versions`` are its tasks in this installation."""

    kind: str
    label: str
    benchmark: Benchmark
    versions: list[Any]
    references: list[Reference]
    num_more: int
    command: str

    @property
    def start(self) -> str:
        """Where an evaluation on it begins: a filled form, or the judges for labels."""
        if self.benchmark.is_of_labels:
            return reverse("evals:judges")
        chosen = {"preset": f"benchmark-{self.kind}"}
        if self.versions:
            chosen["dataset"] = str(self.versions[0].pk)
        return f"{reverse('runs:new', args=['evaluate'])}?{urlencode(chosen)}"


@reader
@require_GET
def show(request: PageRequest) -> HttpResponse:
    return render(request, "evals/benchmarks.html", {"cards": cards()})


@engineer
@require_POST
def load(request: PageRequest, kind: str) -> HttpResponse:
    """Keep the tasks of an embedded benchmark as a dataset version."""
    if kind not in BENCHMARKS or find(kind).needs is not None:
        raise Http404
    version = load_tasks(find(kind), request.user)
    messages.success(request, f"{version} is ready.")
    return redirect(f"{reverse('evals:benchmarks')}#{kind}")


def cards() -> list[Card]:
    """Every benchmark; what works at once comes first."""
    found = [_card(find(cls.model_fields["kind"].default)) for cls in BENCHMARKS]
    return sorted(found, key=lambda card: card.benchmark.needs is not None)


def load_tasks(benchmark: Benchmark, user: User | None = None) -> DatasetVersion:
    """The version with the tasks that ``benchmark`` makes; the one there is, if it is there."""
    return keep_version(
        name_of(benchmark),
        benchmark.tasks(),
        source="made by Kos",
        user=user,
        description=benchmark.measures,
    )


def name_of(benchmark: Benchmark) -> str:
    """What the dataset of an embedded benchmark is called."""
    return f"Benchmark: {benchmark.kind.replace('_', ' ')}"


def versions_of(benchmark: Benchmark) -> QuerySet[DatasetVersion]:
    """The dataset versions that hold its tasks, newest first.

    An imported one is known by its format, and by the file's name or its number of rows where
    several benchmarks share a format.
    """
    versions = DatasetVersion.objects.select_related("dataset")
    needed = benchmark.needs
    if needed is None:
        return versions.filter(dataset__name=name_of(benchmark))
    stem = needed.file.partition(".")[0]
    of_format = Q(examples__task__provenance__importer=needed.importer, examples__position=0)
    found = versions.filter(of_format).values("pk")
    counted = versions.filter(pk__in=found).annotate(rows=Count("examples"))
    shared = [cls for cls in BENCHMARKS if cls.needs and cls.needs.importer == needed.importer]
    if len(shared) == 1:
        return counted
    return counted.filter(Q(rows=needed.rows) | Q(source__contains=stem))


def _card(benchmark: Benchmark) -> Card:
    kind = benchmark.kind
    found = _published(references(), benchmark.reference)
    return Card(
        kind=kind,
        label=type(benchmark).label(),
        benchmark=benchmark,
        versions=_label_sets() if benchmark.is_of_labels else [*versions_of(benchmark)[:3]],
        references=found[:SHOWN_REFERENCES],
        num_more=max(0, len(found) - SHOWN_REFERENCES),
        command=f"python -m kos.evals.benchmarks {kind} > {kind}.jsonl",
    )


def _label_sets() -> list[LabelSet]:
    return [*LabelSet.objects.all()[:3]]


def _published(rows: Iterable[Reference], name: str) -> list[Reference]:
    """The rows on the whole of a benchmark, best first; those of slices after them."""
    of_benchmark = [row for row in rows if name and row.benchmark == name]
    return sorted(of_benchmark, key=lambda row: (row.slice != "all", row.mode, -row.value))
