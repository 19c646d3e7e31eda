"""Where a form starts: defaults, a preset, a past run or an uploaded file; and what a link sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.contrib import messages
from django.http import Http404

from apps.accounts.guards import PageRequest
from apps.accounts.numerals import number
from apps.runs.models import Run, config_of
from apps.runs.start import keeping, uploading
from apps.runs.start.forms import KIND
from kos.config import JOBS, JobConfig, Train
from kos.rl.long2short.second_phase import second_phase


class Start(NamedTuple):
    """``base`` is what changes are counted from; ``config`` has what the link sets besides."""

    label: str
    note: str
    base: dict[str, Any]
    config: dict[str, Any]
    given: dict[str, Any]


def start_of(request: PageRequest, kind: str) -> Start:
    """Where the address says that the form of ``kind`` starts. Raises Http404 for what is not."""
    found = _found(request, kind)
    linked = {name: request.GET[name] for name in JOBS[kind].inputs if name in request.GET}
    config = with_knobs(JOBS[kind].model_validate(found.base), request.GET)
    return found._replace(config=config, given=found.given | linked)


def _found(request: PageRequest, kind: str) -> Start:
    clone, preset = request.GET.get("clone", ""), request.GET.get("preset", "")
    if (pk := number(clone)) is not None:
        return _clone(request, kind, pk)
    if request.GET.get("from") == uploading.NAME:
        return _uploaded(request, kind)
    if preset:
        return _preset(request, kind, preset)
    return Start("the defaults", JOBS[kind].label(), _defaults(kind), {}, {})


def _preset(request: PageRequest, kind: str, name: str) -> Start:
    preset = keeping.find_preset(request.user, name)
    if preset is None or preset.kind != kind:
        return Start("the defaults", JOBS[kind].label(), _defaults(kind), {}, {})
    config = config_of(kind, preset.config)
    if config is None:
        return _outdated(request, kind, preset.label)
    return Start(preset.label, preset.description, config.model_dump(mode="json"), {}, {})


def _clone(request: PageRequest, kind: str, pk: int) -> Start:
    run = Run.objects.visible_to(request.user).filter(pk=pk, kind=kind).first()
    if run is None:
        raise Http404
    given: dict[str, Any] = {entry.name: entry.artifact_id for entry in run.inputs.all()}
    given |= {"dataset": run.dataset_id, "benchmark": run.benchmark_id}
    given |= {"labels": run.label_set_id, "name": run.name, "seed": run.seed}
    label, note = f"run {run.pk}", f"The knobs and inputs of {run.name}."
    config = run.known_settings
    if config is None:
        return _outdated(request, kind, run.name)._replace(given=given)
    if request.GET.get("phase") == "2" and isinstance(config, Train):
        config = second_phase(config)
        note = f"The second phase of {run.name}, which shortens its answers."
    return Start(label, note, config.model_dump(mode="json"), {}, given)


def _uploaded(request: PageRequest, kind: str) -> Start:
    kept = request.session.get(uploading.SESSION)
    if not kept or kept["kind"] != kind:
        raise Http404
    note = "As the file has it; what it does not name is at its default."
    return Start(kept["file"], note, kept["config"], {}, kept["given"])


def _outdated(request: PageRequest, kind: str, name: str) -> Start:
    messages.warning(request, f"{name} has knobs of an older Kos: these are the defaults.")
    return Start("the defaults", JOBS[kind].label(), _defaults(kind), {}, {})


def _defaults(kind: str) -> dict[str, Any]:
    return JOBS[kind].model_validate({KIND: kind}).model_dump(mode="json")


def with_knobs(config: JobConfig, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The config with knobs that a link sets, by their names in the form (``grader-kind=judge``).

    What cannot be read is passed over: a link sets where a form starts, no more.
    """
    found: dict[str, Any] = config.model_dump(mode="json")
    # Kinds first: the knobs of a choice stand beside its kind.
    for name in sorted(wanted, key=lambda one: not one.endswith(f"-{KIND}")):
        *path, knob = name.split("-")
        part: Any = found
        for step in path:
            part = inside(part, step)
        if not path or not isinstance(part, dict):
            continue
        if knob == KIND and part.get(KIND) != wanted[name]:
            part.clear()
        part[knob] = wanted[name]
    return (config_of(config.kind, found) or config).model_dump(mode="json")


def inside(part: Any, step: str) -> Any:
    """What lies at ``step`` of nested JSON, or None."""
    if isinstance(part, dict):
        return part.get(step)
    place = number(step) if isinstance(part, list) else None
    return part[place] if place is not None and place < len(part) else None
