"""Before a merge or an export starts: which tensor falls where, and what the result weighs.

Headers and configs alone are read, so half a terabyte is previewed in about a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST

from apps.accounts.guards import PageRequest, engineer
from apps.accounts.numerals import number
from apps.runs.models import Artifact
from apps.runs.start.parts import config_form
from kos.config import JOBS, Export, JobConfig, Merge
from kos.errors import UserError
from kos.weights import plan, plan_export

# Targets shown; an adapter on all experts of Kimi K2.5 has seventy thousand.
SHOWN = 200


@engineer
@require_POST
def tensors(request: PageRequest, kind: str) -> HttpResponse:
    """What the form of a merge or an export, as it stands, would do; a part of its page."""
    if kind not in PREVIEWS:
        raise Http404
    form = config_form(JOBS[kind], request.POST)
    context: dict[str, Any] = {"kind": kind}
    if not form.is_valid():
        context["problem"] = "Mend the fields first; then the preview stands here."
    else:
        assert isinstance(form.config, JobConfig)
        context |= _previewed(request, form.config)
    return render(request, "runs/_tensors.html", context)


def quantised(config: Export, model: Artifact) -> plan_export.Preview:
    """What an export of ``model`` would hold. Raises UserError when its files say too little."""
    return plan_export.preview(model.location, config.format)


def merged(config: Merge, base: Artifact, adapter: Artifact | None) -> plan.Plan:
    """What merging ``adapter`` into ``base`` would write. Raises UserError as the merge would."""
    folder = adapter.location if adapter else None
    return plan.preview(base.location, folder, shard_gb=config.shard_gb, into=config.into)


def _previewed(request: PageRequest, config: JobConfig) -> dict[str, Any]:
    try:
        return PREVIEWS[config.kind](request, config)
    except UserError as error:
        return {"problem": str(error)}


def _export(request: PageRequest, config: JobConfig) -> dict[str, Any]:
    assert isinstance(config, Export)
    model = _chosen(request, config, "model")
    if model is None:
        return {"problem": "Choose the model to quantise."}
    found = quantised(config, model)
    return {"model": model, "export": found, "format": config.format.label()}


def _merge(request: PageRequest, config: JobConfig) -> dict[str, Any]:
    assert isinstance(config, Merge)
    base, adapter = (_chosen(request, config, name) for name in ("base", "adapter"))
    if base is None:
        return {"problem": "Choose the base to merge into."}
    found = merged(config, base, adapter)
    return {"model": base, "merge": found, "targets": found.targets[:SHOWN]}


PREVIEWS: dict[str, Callable[[PageRequest, JobConfig], dict[str, Any]]] = {
    "export": _export,
    "merge": _merge,
}


def _chosen(request: PageRequest, config: JobConfig, name: str) -> Artifact | None:
    """The artifact picked for an input of the form, if it is there and of a kind that fits."""
    pk = number(request.POST.get(f"run-{name}", "")) or 0
    return Artifact.objects.filter(pk=pk, kind__in=config.inputs[name].kinds).first()
