"""Presets over REST: those that Kos brings, and those that people keep."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest
from ninja import Field, Query, Schema, Status

from apps.accounts.auth import require_engineer
from apps.automation.paging import Page, Paging, slice_page
from apps.automation.rest import In
from apps.runs.api.launching import checked, knobs_of
from apps.runs.api.shapes import router
from apps.runs.presets import PRESETS, Preset
from apps.runs.start import keeping


class PresetOut(Schema):
    """A starting point: `name` is what a start takes as `preset`."""

    name: str
    id: int | None = Field(description="Of one that you kept.")
    kind: str
    label: str
    description: str
    config: dict[str, Any] = Field(description="What differs from the defaults of its kind.")


class PresetIn(In):
    kind: str = Field(max_length=20)
    name: str = Field(min_length=1, max_length=80)
    description: str = Field("", max_length=300)
    config: dict[str, Any] = {}


class PresetWanted(Paging):
    kind: str = Field("", max_length=20)


@router.get("/presets", response=Page[PresetOut], summary="Presets, mine after the built-in ones")
def list_presets(request: HttpRequest, wanted: Query[PresetWanted]) -> dict[str, Any]:
    user = require_engineer(request)
    found = [_out(name, preset) for name, preset in PRESETS.items()]
    found += [
        _out(f"{keeping.PREFIX}{kept.pk}", keeping.as_preset(kept), kept.pk)
        for kept in keeping.kept_by(user)
    ]
    fitting = [one for one in found if wanted.kind in ("", one["kind"])]
    return slice_page(fitting, cursor=wanted.cursor, limit=wanted.limit, key="presets")


@router.post("/presets", response={201: PresetOut}, summary="Keep a preset")
def keep_preset(request: HttpRequest, body: PresetIn) -> Status[dict[str, Any]]:
    """One of the same kind and name is replaced."""
    user = require_engineer(request)
    made = checked(
        lambda: keeping.keep_preset(
            user, body.kind, body.name, body.description, knobs_of(body.config)
        )
    )
    name = f"{keeping.PREFIX}{made.pk}"
    return Status(201, _out(name, keeping.as_preset(made), made.pk))


@router.delete("/presets/{int:pk}", response={204: None}, summary="Delete a preset of mine")
def delete_preset(request: HttpRequest, pk: int) -> Status[None]:
    if not keeping.delete_preset(require_engineer(request), pk):
        raise Http404
    return Status(204, None)


def _out(name: str, preset: Preset, pk: int | None = None) -> dict[str, Any]:
    return {
        "name": name,
        "id": pk,
        "kind": preset.kind,
        "label": preset.label,
        "description": preset.description,
        "config": dict(preset.config),
    }
