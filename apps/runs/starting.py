"""Starting a run: the chooser, the form of a kind, its reloading parts and its REST call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from pydantic import ValidationError

from apps.accounts.guards import PageRequest, engineer
from apps.datasets.models import DatasetVersion
from apps.runs import costing, editing, services
from apps.runs.forms import KIND, ConfigForm, config_form, find_part
from apps.runs.inputs import InputsForm
from apps.runs.models import Run
from apps.runs.presets import PRESETS, Preset
from kos.config import JOBS, JobConfig, Pipeline, Train
from kos.errors import UserError
from kos.rl.long2short.second_phase import second_phase


@engineer
@require_GET
def choose(request: PageRequest) -> HttpResponse:
    """Every kind of job with its presets."""
    kinds = [
        (kind, model, {name: p for name, p in PRESETS.items() if p.kind == kind})
        for kind, model in JOBS.items()
    ]
    # The whole way first: most people come for it.
    kinds.sort(key=lambda row: row[0] != "pipeline")
    return render(request, "runs/choose.html", {"kinds": kinds})


@engineer
@require_http_methods(["GET", "POST"])
def new(request: PageRequest, kind: str) -> HttpResponse:
    """The form of ``kind``, filled from a preset or from a run to clone; a POST starts it."""
    model = _model(kind)
    if request.method == "POST" and editing.EDIT in request.POST:
        form, _list = _edited(request, kind)
        inputs = InputsForm(model, request.POST).as_draft()
        return render(request, "runs/new.html", _page(request, kind, form, inputs, is_draft=True))
    if request.method == "POST":
        form, inputs = config_form(model, request.POST), InputsForm(model, request.POST)
        run = _launch(request, kind, form, inputs)
        if run is not None:
            return redirect("runs:detail", run.pk)
        return render(request, "runs/new.html", _page(request, kind, form, inputs), status=400)
    start, given = _initial(request, kind)
    form = config_form(model, initial=start)
    inputs = InputsForm(model, initial=given)
    return render(request, "runs/new.html", _page(request, kind, form, inputs))


@engineer
@require_GET
def part(request: PageRequest, kind: str, path: str) -> HttpResponse:
    """The knobs of a named choice, after another kind was picked in its menu."""
    found = find_part(_model(kind), path, request.GET.get(f"{path}-{KIND}", ""))
    if found is None:
        raise Http404
    return render(request, "runs/_part.html", {"part": found, "kind": kind})


@engineer
@require_POST
def edit(request: PageRequest, kind: str) -> HttpResponse:
    """A list of parts after one was added, removed or moved; the page's buttons without htmx."""
    _form, changed = _edited(request, kind)
    return render(request, "runs/_list.html", {"part": changed, "kind": kind})


@engineer
@require_POST
def preview(request: PageRequest, kind: str) -> HttpResponse:
    """The REST call that would do what the form says, or what is wrong with it."""
    model = _model(kind)
    form, inputs = config_form(model, request.POST), InputsForm(model, request.POST)
    context = {
        "kind": kind,
        "call": rest_call(request, kind, form, inputs),
        "problems": _problems(form, inputs),
    }
    return render(request, "runs/_rest.html", context)


@engineer
@require_POST
def cost(request: PageRequest, kind: str) -> HttpResponse:
    """What the training of the form would cost, by the prices that came along."""
    model = _model(kind)
    form, inputs = config_form(model, request.POST), InputsForm(model, request.POST)
    context = _cost(request, kind, form, inputs, prices=request.POST)
    return render(request, "runs/_cost.html", context)


def _cost(
    request: PageRequest,
    kind: str,
    form: ConfigForm,
    inputs: InputsForm,
    *,
    prices: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The estimate beside the form; none while a knob is wrong, or where nothing is trained."""
    model = _model(kind)
    if not issubclass(model, Train | Pipeline):
        return {"kind": kind, "has_rewards": False}
    typed = costing.prices_form(request.session, prices)
    config = costing.training_of(_config(kind, form))
    dataset = _pk_or_none(inputs["dataset"].value())
    found = DatasetVersion.objects.filter(pk=dataset).first() if dataset is not None else None
    return {
        "kind": kind,
        "has_rewards": True,
        "prices": typed,
        "cost": costing.estimated(config, found, typed.prices) if config else None,
    }


def _config(kind: str, form: ConfigForm) -> JobConfig | None:
    """The config that the form describes, if it describes one."""
    try:
        if not form.is_bound:
            return _model(kind).model_validate(form.initial)
        if form.is_valid() and hasattr(form, "config"):
            assert isinstance(form.config, JobConfig)
            return form.config
    except ValidationError:
        pass
    return None


def rest_call(request: PageRequest, kind: str, form: ConfigForm, inputs: InputsForm) -> str:
    """The same start over REST, knobs at their defaults left out; empty while something is wrong."""
    if form.is_bound and not form.is_valid():
        return ""
    config = form.config if form.is_bound else _model(kind).model_validate(form.initial)
    body: dict[str, Any] = {"kind": kind}
    body["config"] = config.model_dump(mode="json", exclude_defaults=True)
    chosen = {name: inputs[name].value() for name in inputs.fields}
    if chosen["name"]:
        body["name"] = chosen["name"]
    if str(chosen["seed"]).isdecimal() and int(chosen["seed"]):
        body["seed"] = int(chosen["seed"])
    named = {name: _pk(chosen[name]) for name in inputs.declared if chosen[name]}
    sets = {name: pk for name, pk in named.items() if name in inputs.sets}
    body["inputs"] = {name: pk for name, pk in named.items() if name not in sets}
    url = request.build_absolute_uri("/api/runs/")
    return (
        f'curl -X POST {url} \\\n  -H "Authorization: Bearer $KOS_TOKEN" '
        f"-H 'Content-Type: application/json' \\\n  -d '{json.dumps(body | sets, indent=2)}'"
    )


def _launch(request: PageRequest, kind: str, form: ConfigForm, inputs: InputsForm) -> Run | None:
    # Both are checked before either stops the start: all errors show at once.
    is_valid = [form.is_valid(), inputs.is_valid()]
    if not all(is_valid):
        return None
    assert isinstance(form.config, JobConfig)
    try:
        run = services.launch(request.user, kind, form.config, **inputs.given)
    except UserError as error:
        inputs.add_error(None, str(error))
        return None
    messages.success(request, f"{run.name} is queued.")
    return run


def _initial(request: PageRequest, kind: str) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """Where the form starts: defaults, a preset, or another run; and what the URL chooses."""
    given: dict[str, Any] = {
        name: request.GET[name] for name in _model(kind).inputs if name in request.GET
    }
    clone = request.GET.get("clone", "")
    if clone.isdecimal():
        run = Run.objects.visible_to(request.user).filter(pk=clone, kind=kind).first()
        if run is None:
            raise Http404
        given = {entry.name: entry.artifact_id for entry in run.inputs.all()}
        given |= {"dataset": run.dataset_id, "benchmark": run.benchmark_id}
        given["labels"] = run.label_set_id
        given |= {name: request.GET[name] for name in _model(kind).inputs if name in request.GET}
        return _start_of_clone(request, run), given | {"name": run.name, "seed": run.seed}
    preset = _preset(request, kind)
    config = _model(kind).model_validate({KIND: kind, **(preset.config if preset else {})})
    return _with_knobs(config, request.GET), given


def _start_of_clone(request: PageRequest, run: Run) -> Mapping[str, Any]:
    """The knobs of ``run``, or of the second phase that would shorten its answers."""
    try:
        config = run.settings
    except ValidationError:
        messages.warning(request, f"{run.name} has knobs of an older Kos: these are defaults.")
        return _model(run.kind).model_validate({KIND: run.kind}).model_dump(mode="json")
    if request.GET.get("phase") == "2" and isinstance(config, Train):
        return second_phase(config).model_dump(mode="json")
    return config.model_dump(mode="json")


def _with_knobs(config: JobConfig, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The config with knobs that a link sets, by their names in the form (``grader-kind=judge``).

    What cannot be read is passed over: a link sets where a form starts, no more.
    """
    found: dict[str, Any] = config.model_dump(mode="json")
    # Kinds first: the knobs of a choice stand beside its kind.
    for name in sorted(wanted, key=lambda one: not one.endswith(f"-{KIND}")):
        *path, knob = name.split("-")
        part: Any = found
        for step in path:
            part = _inside(part, step)
        if not path or not isinstance(part, dict):
            continue
        if knob == KIND and part.get(KIND) != wanted[name]:
            part.clear()
        part[knob] = wanted[name]
    try:
        return type(config).model_validate(found).model_dump(mode="json")
    except ValidationError:
        return config.model_dump(mode="json")


def _edited(request: PageRequest, kind: str) -> tuple[ConfigForm, ConfigForm]:
    wanted = editing.read(request.POST.get(editing.EDIT, ""))
    found = editing.edited(_model(kind), request.POST, wanted) if wanted else None
    if found is None:
        raise Http404
    return found


def _inside(part: Any, step: str) -> Any:
    """What lies at ``step`` of nested JSON, or None."""
    if isinstance(part, dict):
        return part.get(step)
    if isinstance(part, list) and step.isdecimal() and int(step) < len(part):
        return part[int(step)]
    return None


def _page(
    request: PageRequest,
    kind: str,
    form: ConfigForm,
    inputs: InputsForm,
    *,
    is_draft: bool = False,
) -> dict[str, Any]:
    """The form's page; a draft is shown as typed and checked nowhere."""
    preset = _preset(request, kind)
    return _cost(request, kind, form, inputs) | {
        "kind": kind,
        "label": _model(kind).label(),
        "form": form,
        "inputs": inputs,
        "preset": preset,
        "chosen": request.GET.get("preset", ""),
        "presets": {name: p for name, p in PRESETS.items() if p.kind == kind},
        "problems": _problems(form, inputs) if form.is_bound and not is_draft else [],
        "call": "" if is_draft else rest_call(request, kind, form, inputs),
        "url": reverse("runs:new", args=[kind]),
    }


def _problems(form: ConfigForm, inputs: InputsForm) -> list[tuple[str, str, str]]:
    found = [
        (inputs[name].id_for_label if name in inputs.fields else "run-form", name, str(error))
        for name, errors in inputs.errors.items()
        for error in errors
    ]
    form.is_valid()
    return found + form.problems()


def _model(kind: str) -> type[JobConfig]:
    if kind not in JOBS:
        raise Http404
    return JOBS[kind]


def _preset(request: PageRequest, kind: str) -> Preset | None:
    preset = PRESETS.get(request.GET.get("preset", ""))
    return preset if preset is not None and preset.kind == kind else None


def _pk(value: Any) -> int:
    return int(getattr(value, "pk", value))


def _pk_or_none(value: Any) -> int | None:
    known = str(getattr(value, "pk", value))
    return int(known) if known.isdecimal() and len(known) < 12 else None
