"""Models and other artifacts: all by kind, and one with where it came from and went."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from apps.accounts.guards import PageRequest, engineer
from apps.runs.downloads import files
from apps.runs.models import Artifact, Run
from apps.runs.views import flatten
from kos.config import JOBS

PAGE_SIZE = 50
DEPTH = 6


class Node(NamedTuple):
    """A run that made or used an artifact, with what stands behind or after it."""

    artifact: Artifact | None
    run: Run
    below: list[Any]


@engineer
@require_GET
def models(request: PageRequest) -> HttpResponse:
    found = Artifact.objects.select_related("run")
    kind = request.GET.get("kind", "")
    if kind in Artifact.Kind.values:
        found = found.filter(kind=kind)
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {"page": page, "kinds": Artifact.Kind.choices, "kind": kind}
    return render(request, "runs/models.html", context)


@engineer
@require_GET
def model(request: PageRequest, pk: int) -> HttpResponse:
    found = Artifact.objects.select_related("run__dataset__dataset", "run__owner")
    artifact = get_object_or_404(found, pk=pk)
    context = {
        "artifact": artifact,
        "summary": flatten(_brief(artifact.summary)),
        "plan": artifact.summary.get("plan"),
        "has_survival": bool(artifact.summary.get("survival")),
        "ancestors": ancestors(artifact),
        "descendants": descendants(artifact),
        "next_steps": next_steps(artifact),
        "files": files(artifact),
    }
    return render(request, "runs/model.html", context)


def _brief(summary: dict[str, Any]) -> dict[str, Any]:
    """Without what has a table or a page of its own."""
    return {key: value for key, value in summary.items() if key not in ("plan", "survival")}


def ancestors(artifact: Artifact) -> list[Artifact]:
    """What ``artifact`` was made from, oldest first, itself last. A model has few."""
    chain: dict[int, Artifact] = {}
    wave = [artifact]
    for _ in range(DEPTH):
        chain = {item.pk: item for item in wave} | chain
        runs = {item.run_id for item in wave}
        wave = [*Artifact.objects.filter(uses__run__in=runs).select_related("run").distinct()]
        if not wave:
            break
    return sorted(chain.values(), key=lambda item: item.pk)


def descendants(artifact: Artifact, *, depth: int = DEPTH) -> list[Node]:
    """The runs that worked on ``artifact``, with what they made and where that went."""
    nodes = []
    for run in Run.objects.filter(inputs__artifact=artifact).order_by("pk").distinct():
        made = [
            Node(item, run, descendants(item, depth=depth - 1) if depth > 1 else [])
            for item in run.artifacts.order_by("pk")
        ]
        nodes.append(Node(None, run, made))
    return nodes


def next_steps(artifact: Artifact) -> list[tuple[str, str, str]]:
    """Jobs that take this artifact: (kind, the name of the input, what the button says).

    One button a job, for the first input it fits.
    """
    steps: dict[str, tuple[str, str, str]] = {}
    for kind, model in JOBS.items():
        for name, wanted in model.inputs.items():
            if artifact.kind in wanted.kinds and (kind, name) not in SKIPPED:
                steps.setdefault(kind, (kind, name, VERBS.get(kind, model.label())))
    return list(steps.values())


VERBS = {
    "sft": "Fine-tune",
    "measure": "Measure difficulty",
    "train": "Train",
    "select": "Select answers",
    "dpo": "Prefer",
    "critic": "Refine the critic",
    "average": "Average",
    "merge": "Merge",
    "export": "Quantise",
    "survival": "Measure survival",
    "evaluate": "Evaluate",
    "deploy": "Deploy",
    "pipeline": "Run the pipeline",
}
# A base is evaluated as the reference, a merged model as what is under test.
SKIPPED = {("evaluate", "base"), ("merge", "base"), ("export", "base")}
