"""The cost calculator: what a model that this machine cannot run would take elsewhere."""

from __future__ import annotations

import json
import math
from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from pydantic import BaseModel

from apps.accounts.guards import PageRequest, engineer
from apps.runs.models import Artifact
from apps.runs.start.forms import ConfigForm
from apps.runs.start.parts import config_form
from kos.errors import UserError
from kos.weights.costs import Cost, Costs, Machine, Workload, costs
from kos.weights.formats.base import FORMATS
from kos.weights.shapes import KIMI_K25

KIMI = "kimi-k2.5"


class SubjectForm(forms.Form):
    """Which model, in which format."""

    model = forms.ChoiceField(help_text="Kimi K2.5 by its released shapes, or a base at hand.")
    format = forms.ChoiceField(help_text="How it would be exported.")

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        bases = Artifact.objects.filter(kind=Artifact.Kind.BASE)
        self.fields["model"].choices = [  # type: ignore[attr-defined]
            (KIMI, "Kimi K2.5"),
            *((str(base.pk), f"#{base.pk} {base.name}") for base in bases),
        ]
        self.fields["format"].choices = [  # type: ignore[attr-defined]
            (cls.model_fields["kind"].default, cls.label()) for cls in FORMATS
        ]


@engineer
@require_GET
def costs_page(request: PageRequest) -> HttpResponse:
    """The calculation for what the URL says; everything has a default."""
    subject = SubjectForm(_filled(request, {"model": KIMI, "format": "nvfp4"}))
    parts = {"Machine": _part(request, Machine), "Workload": _part(request, Workload)}
    context: dict[str, Any] = {"subject": subject, "parts": parts}
    if all([subject.is_valid(), *(part.is_valid() for part in parts.values())]):
        context |= _calculated(subject, parts)
    return render(request, "runs/costs.html", context)


def _calculated(subject: SubjectForm, parts: dict[str, ConfigForm]) -> dict[str, Any]:
    chosen = subject.cleaned_data
    machine, workload = (part.config for part in parts.values())
    assert isinstance(machine, Machine)
    assert isinstance(workload, Workload)
    model = None if chosen["model"] == KIMI else Artifact.objects.get(pk=chosen["model"])
    try:
        found = calculated(model, chosen["format"], machine, workload)
    except UserError as error:
        return {"problem": str(error)}
    sizes = {"before": found.preview.bytes_before, "after": found.preview.bytes_after}
    sizes |= {"bf16": found.bf16_bytes, "cache": found.kv_bytes_per_token}
    figures = {name: size(count) for name, count in sizes.items()}
    figures |= {
        "total": billions(found.parameters.total),
        "active": billions(found.parameters.active),
    }
    return {"found": found, "figures": figures, "jobs": [_line(job) for job in found.jobs]}


def calculated(base: Artifact | None, format: str, machine: Machine, workload: Workload) -> Costs:
    """What ``base``, or without one Kimi K2.5, takes on ``machine``.

    Raises UserError when its config cannot be read, or for rates that no machine has.
    """
    config = KIMI_K25 if base is None else config_of(base)
    chosen = FORMATS[format](kind=format)
    try:
        found: Costs | None = costs(
            config, chosen, machine=machine, workload=workload, packed=base is None
        )
    except OverflowError:
        found = None
    if found is None or not all(math.isfinite(size) for job in found.jobs for size in _sizes(job)):
        raise UserError("these sizes and rates are too far from any machine's to calculate with")
    return found


def _sizes(job: Cost) -> tuple[float, ...]:
    return job.memory_bytes, job.disk_bytes, job.gpu_bytes, job.seconds


def _line(job: Cost) -> dict[str, Any]:
    """One job in words."""
    return {
        "name": job.job[:1].upper() + job.job[1:],
        "memory": size(job.memory_bytes),
        "disk": size(job.disk_bytes),
        "gpu": size(job.gpu_bytes),
        "time": duration(job.seconds),
        "limit": job.limit,
        "fits": job.fits,
        "why": job.why,
    }


def size(count: float) -> str:
    """Bytes in powers of ten, as disks and the fields of the form count them."""
    for unit, power in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= power:
            return f"{count / power:.4g} {unit}"
    return f"{count:.0f} B" if count else "-"


def billions(count: int) -> str:
    """A number of parameters as people say it: 1.026 T, 32.9 B, 134.5 M."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if count >= size:
            return f"{count / size:.4g} {letter}"
    return str(count)


def duration(seconds: float) -> str:
    """Seconds in the unit that shows them best."""
    if not seconds:
        return "-"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1000:.3g} ms"


def config_of(base: Artifact) -> dict[str, Any]:
    """The config of a model at hand; raises UserError when it is gone or says too little."""
    try:
        read: dict[str, Any] = json.loads((base.location / "config.json").read_text())
    except (OSError, json.JSONDecodeError):
        raise UserError(f"{base.name} has no config.json that can be read.") from None
    text: dict[str, Any] = read.get("text_config", read)
    if missing := {"hidden_size", "num_hidden_layers", "vocab_size"} - text.keys():
        raise UserError(f"The config of {base.name} does not say its {min(missing)}.")
    return text


def _part(request: PageRequest, model: type[BaseModel]) -> ConfigForm:
    """The form of ``model``; no two of its fields and the other forms' have one name."""
    return config_form(model, _filled(request, model().model_dump()))


def _filled(request: PageRequest, defaults: dict[str, Any]) -> dict[str, Any]:
    """What the URL says, and a default for what it does not."""
    return {name: request.GET.get(name, value) for name, value in defaults.items()}
