"""Models and other artifacts: all of them, and one with what is known of it and what it is for."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.guards import PageRequest, engineer
from apps.runs.artifacts import disposal, graph, lineage, panels, provenance, stock
from apps.runs.artifacts.downloads import files
from apps.runs.artifacts.graph import Key, Node
from apps.runs.models import Artifact
from apps.runs.page.frame import flatten
from kos.config import JOBS
from kos.errors import UserError

MOST_FILES = 400
# What of a summary has a table, a page or a line of its own.
TOLD = ("plan", "survival", "gate", "smoke", "calibration", "models", "slices", "items", "rank",
        "alpha", "steps", "num_parameters", "licence", "license", "source", "format", "size_bytes",
        "num_quantised", "num_kept")  # fmt: skip


class Step(NamedTuple):
    """A job that takes the model: what the button says, and where its form is."""

    kind: str
    input: str
    verb: str
    url: str


@engineer
@require_GET
def models(request: PageRequest) -> HttpResponse:
    """The list; htmx asks for its rows alone when a filter changes."""
    form = stock.ModelFilter(request.GET)
    page = form.page(request.GET.get("cursor", ""))
    context: dict[str, Any] = {"form": form, "stretch": page}
    if lineage.wants(request, "models"):
        return render(request, "runs/_models.html", context)
    rows = stock.storage()
    context |= {"storage": rows, "total": sum(row.size_bytes for row in rows)}
    return render(request, "runs/models.html", context)


@engineer
@require_GET
def model(request: PageRequest, pk: int) -> HttpResponse:
    artifact = _get(pk)
    found = files(artifact)
    context = {
        "artifact": artifact,
        "facts": provenance.facts(artifact),
        "summary": flatten(_brief(artifact.summary)),
        "plan": artifact.summary.get("plan"),
        "has_survival": bool(artifact.summary.get("survival")),
        "strip": strip(artifact),
        "next_steps": next_steps(artifact) if artifact.freed is None else [],
        "files": found[:MOST_FILES],
        "num_files": len(found),
        "panels": panels.of(artifact),
        "needs": disposal.needs(artifact) if artifact.freed is None else [],
        **lineage.drawn([Key("artifact", pk)], request.GET),
    }
    if lineage.wants(request, "lineage"):
        return render(request, "runs/_graph.html", context)
    return render(request, "runs/model.html", context)


@engineer
@require_POST
def pin(request: PageRequest, pk: int) -> HttpResponse:
    artifact = _get(pk)
    is_pinned = "unpin" not in request.POST
    disposal.pin(artifact, is_pinned=is_pinned)
    said = "is pinned: its files cannot be deleted." if is_pinned else "is no longer pinned."
    messages.success(request, f"{artifact.name} {said}")
    return redirect("runs:model", pk)


@engineer
@require_POST
def free(request: PageRequest, pk: int) -> HttpResponse:
    """Delete its files; the row and its lineage stay."""
    artifact = _get(pk)
    try:
        size = disposal.free(artifact, request.user)
    except UserError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"Deleted {artifact.name}: {filesizeformat(size)} are free.")
    return redirect("runs:model", pk)


def strip(artifact: Artifact) -> list[Node]:
    """The straight way here: data first, then what it stems from as it was made, itself last."""
    met = graph.walk([Key("artifact", artifact.pk)], "before")
    behind = {edge.start for edge in met if edge.start.kind in ("dataset", "artifact")}
    nodes = graph.describe({*behind, Key("artifact", artifact.pk)})
    return sorted(nodes.values(), key=lambda node: (node.key.kind == "artifact", node.key.pk))


def next_steps(artifact: Artifact) -> list[Step]:
    """Jobs that take this artifact. One button a job, for the first input it fits."""
    steps: dict[str, Step] = {}
    for kind, job in JOBS.items():
        for name, wanted in job.inputs.items():
            if artifact.kind in wanted.kinds and (kind, name) not in SKIPPED:
                url = f"{reverse('runs:new', args=[kind])}?{urlencode({name: artifact.pk})}"
                steps.setdefault(kind, Step(kind, name, VERBS.get(kind, job.label()), url))
    return sorted(steps.values(), key=lambda step: ORDER.get(step.kind, len(ORDER)))


def _get(pk: int) -> Artifact:
    found = Artifact.objects.select_related(
        "run__dataset__dataset", "run__owner", "run__pipeline", "base", "freed_by"
    )
    return get_object_or_404(found, pk=pk)


def _brief(summary: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in summary.items() if key not in TOLD}


VERBS = {
    "train": "Train",
    "merge": "Merge",
    "export": "Quantise",
    "evaluate": "Evaluate",
    "deploy": "Deploy",
    "survival": "Measure survival",
    "sft": "Fine-tune",
    "select": "Select answers",
    "dpo": "Prefer",
    "critic": "Refine the critic",
    "average": "Average",
    "measure": "Measure difficulty",
    "pipeline": "Run the pipeline",
}
ORDER = {kind: place for place, kind in enumerate(VERBS)}
# A base is evaluated as the reference, a merged model as what is under test.
SKIPPED = {("evaluate", "base"), ("merge", "base"), ("export", "base")}
