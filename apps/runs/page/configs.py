"""The config of a run to read: by part, beside what it started from, and as a file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET
from pydantic import BaseModel

from apps.accounts.guards import PageRequest, engineer
from apps.accounts.models import User
from apps.accounts.numerals import number
from apps.runs import rollback
from apps.runs.models import Event, Run, config_of
from apps.runs.page.frame import frame, visible_run
from apps.runs.start import keeping
from apps.runs.start.fields import humanise

NONE = "\N{EN DASH}"


class Knob(NamedTuple):
    """One value; ``was`` is the other config's where that differs."""

    path: str
    label: str
    value: str
    help: str
    is_changed: bool = False
    was: str = ""


class Group(NamedTuple):
    """A part of the config with its plain values."""

    title: str
    note: str
    knobs: list[Knob]


class Other(NamedTuple):
    """A config to read this one beside; ``key`` stands for it in the address."""

    key: str
    label: str
    config: Mapping[str, Any]
    num_changes: int


@engineer
@require_GET
def config(request: PageRequest, pk: int) -> HttpResponse:
    run = visible_run(request, pk)
    others = _others(request.user, run, request.GET.get("against", ""))
    other = _chosen(others, request.GET.get("against", ""))
    form = request.GET.get("as", "")
    groups = groups_of(run, other.config if other else None)
    is_only = "only" in request.GET and other is not None
    shown = [
        group._replace(knobs=[knob for knob in group.knobs if knob.is_changed or not is_only])
        for group in groups
    ]
    context = frame(run, "config") | {
        "groups": [group for group in shown if group.knobs],
        "others": others,
        "other": other,
        "is_only": is_only,
        "form": form if form in TEXTS else "",
        "text": TEXTS[form](document(run)) if form in TEXTS else "",
        "inputs": run.inputs.select_related("artifact").order_by("pk"),
        "attempts": _attempts(run),
    }
    return render(request, "runs/config.html", context)


@engineer
@require_GET
def config_file(request: PageRequest, pk: int, form: str) -> HttpResponse:
    """What would start the same run again, as JSON or YAML."""
    run = visible_run(request, pk)
    if form not in TEXTS:
        raise Http404
    answer = HttpResponse(TEXTS[form](document(run)), content_type=f"application/{form}")
    answer["Content-Disposition"] = content_disposition_header(True, f"kos-run-{run.pk}.{form}")
    return answer


def document(run: Run) -> dict[str, Any]:
    """The run as the API takes it."""
    found: dict[str, Any] = {"kind": run.kind, "name": run.name}
    found["inputs"] = dict(run.inputs.order_by("pk").values_list("name", "artifact"))
    for name, pk in (
        ("dataset", run.dataset_id),
        ("benchmark", run.benchmark_id),
        ("labels", run.label_set_id),
    ):
        if pk is not None:
            found[name] = pk
    knobs = {name: value for name, value in run.config.items() if name != "kind"}
    return found | {"seed": run.seed, "config": knobs}


def groups_of(run: Run, other: Mapping[str, Any] | None) -> list[Group]:
    """The config by part. One that an older Kos wrote has no words for its knobs."""
    settings = run.known_settings
    if settings is None:
        knobs = [_knob(path, path, value, "", other) for path, value in flat(run.config).items()]
        return [Group("Config", "written by an older Kos", knobs)]
    return [*_groups(settings, "", "", other)]


def flat(config: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """``{"sampling": {"top_p": 1}}`` as ``{"sampling.top_p": 1}``; lists by number."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        path = f"{above}{name}"
        if isinstance(value, Mapping):
            found |= flat(value, f"{path}.")
        elif isinstance(value, (list, tuple)) and any(isinstance(one, Mapping) for one in value):
            found |= flat({str(place): one for place, one in enumerate(value)}, f"{path}.")
        else:
            found[path] = value
    return found


def shown(value: Any) -> str:
    """A value as one reads it."""
    if value is None or value == "" or value == [] or value == ():
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {shown(one)}" for name, one in value.items()) or NONE
    if isinstance(value, (list, tuple)):
        return ", ".join(map(shown, value))
    return str(value)


def _groups(
    part: BaseModel, path: str, title: str, before: Mapping[str, Any] | None
) -> Iterator[Group]:
    plain, parts = [], []
    for name, info in type(part).model_fields.items():
        value = getattr(part, name)
        if isinstance(value, BaseModel):
            parts.append((name, value))
        elif isinstance(value, (list, tuple)) and any(isinstance(one, BaseModel) for one in value):
            parts += [(f"{name}.{place}", one) for place, one in enumerate(value)]
        elif name != "kind" or path:
            plain.append(
                _knob(f"{path}{name}", humanise(name), value, info.description or "", before)
            )
    lines = (type(part).__doc__ or "").strip().splitlines()
    if plain:
        yield Group(title or "The run", lines[0].replace("``", "") if lines else "", plain)
    for name, value in parts:
        own = " ".join(_said(word) for word in name.split("."))
        yield from _groups(value, f"{path}{name}.", f"{title}: {own}" if title else own, before)


def _said(word: str) -> str:
    """A step of a path in words: entries of a list count from 1."""
    place = number(word)
    return humanise(word) if place is None else str(place + 1)


def _knob(path: str, label: str, value: Any, help: str, before: Mapping[str, Any] | None) -> Knob:
    text = shown(value)
    if before is None:
        return Knob(path, label, text, help)
    was = shown(_at(before, path))
    return Knob(path, label, text, help, was != text, was)


def _at(config: Any, path: str) -> Any:
    """The value at ``rewards.0.gate``; None where there is none."""
    for name in path.split("."):
        if isinstance(config, Mapping):
            config = config.get(name)
        elif isinstance(config, (list, tuple)):
            place = number(name)
            config = config[place] if place is not None and place < len(config) else None
        else:
            return None
    return config


def _others(user: User, run: Run, asked: str) -> list[Other]:
    """What this config can be read beside: where it came from, presets, the plain defaults."""
    found = []
    origin = rollback.origin_of(run)
    if origin is not None:
        found.append(_other(run, f"run:{origin.run.pk}", origin.run.name, origin.run.config))
    pk = number(asked.removeprefix("run:")) if asked.startswith("run:") else None
    if pk is not None and all(one.key != asked for one in found):
        another = Run.objects.filter(pk=pk, kind=run.kind).first()
        if another is not None:
            found.append(_other(run, asked, f"{another.name} #{another.pk}", another.config))
    for name, preset in keeping.presets_of(user, run.kind).items():
        found.append(_other(run, f"preset:{name}", f"Preset {preset.label}", preset.config))
    return [*found, _other(run, "defaults", "The defaults", {})]


def _other(run: Run, key: str, label: str, config: Mapping[str, Any]) -> Other:
    known = config_of(run.kind, config)
    full = known.model_dump(mode="json") if known else dict(config)
    mine, other = flat(run.config), flat(full)
    changes = sum(
        shown(mine.get(path)) != shown(other.get(path)) for path in mine.keys() | other.keys()
    )
    return Other(key, label, full, changes)


def _chosen(others: list[Other], asked: str) -> Other | None:
    """The one asked for; else where the run came from, else what differs least."""
    by_key = {other.key: other for other in others}
    if asked in by_key:
        return by_key[asked]
    if others and others[0].key.startswith("run:"):
        return others[0]
    return min(others, key=lambda other: other.num_changes, default=None)


def _attempts(run: Run) -> list[tuple[int, str]]:
    """(number, worker) of every attempt."""
    said = Event.objects.filter(run=run, kind="status", data__has_key="worker").order_by("seq")
    return [
        (data.get("attempt", 0), str(data["worker"]))
        for data in said.values_list("data", flat=True)
    ]


TEXTS = {
    "json": lambda found: json.dumps(found, indent=2),
    "yaml": lambda found: yaml.safe_dump(found, sort_keys=False, allow_unicode=True),
}
