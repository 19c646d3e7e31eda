"""What the page of a draft shows: its form, and all that is said beside it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.urls import reverse

from apps.accounts.guards import PageRequest
from apps.datasets.models import DatasetVersion
from apps.runs.start import costing, keeping, once, saying
from apps.runs.start.drafts import Draft
from kos.config import Pipeline, Train


def page(request: PageRequest, draft: Draft) -> dict[str, Any]:
    """The page of a draft; what was typed wrong is said at its top."""
    return beside(request, draft) | {
        "label": draft.model.label(),
        "form": draft.form,
        "inputs": draft.inputs,
        "faults": draft.problems if draft.is_typed else [],
        "chosen": request.GET.get("preset", "") if not request.GET.get("clone") else None,
        "presets": keeping.presets_of(request.user, draft.kind),
        "key": request.POST.get(once.KEY) or uuid.uuid4().hex,
        "url": reverse("runs:new", args=[draft.kind]),
    }


def beside(
    request: PageRequest, draft: Draft, *, prices: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """All that is said beside the form."""
    return {
        "kind": draft.kind,
        "start": draft.start,
        "problems": draft.problems,
        "changes": draft.changes,
        "changed": {change.anchor for change in draft.changes},
        "ways": draft.ways,
        "query": request.META.get("QUERY_STRING", ""),
    } | cost_of(request, draft, prices)


def cost_of(
    request: PageRequest, draft: Draft, prices: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The estimate; none while a knob is wrong, or where nothing is trained."""
    if not issubclass(draft.model, Train | Pipeline):
        return {"has_rewards": False}
    typed = costing.prices_form(request.session, prices)
    config = costing.training_of(draft.config)
    dataset = saying.pk_of(draft.inputs["dataset"].value())
    found = DatasetVersion.objects.filter(pk=dataset).first() if dataset is not None else None
    return {
        "has_rewards": True,
        "prices": typed,
        "cost": costing.estimated(config, found, typed.prices) if config else None,
    }
