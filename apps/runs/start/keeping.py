"""Presets that people keep of their own, beside the ones that Kos brings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from apps.accounts.models import User
from apps.accounts.numerals import number
from apps.runs.models import SavedPreset
from apps.runs.presets import PRESETS, Preset
from apps.runs.start import shortening
from kos.config import JOBS, JobConfig
from kos.errors import UserError

# A kept preset's name in addresses and calls: ``kept-12``.
PREFIX = "kept-"
MAX_KEPT = 200


def keep_preset(
    user: User, kind: str, name: str, description: str, config: JobConfig | Mapping[str, Any]
) -> SavedPreset:
    """Keep ``config`` under ``name``; the user's preset of that name is written over.

    Raises UserError for a name or a kind that will not do, and pydantic's ValidationError for a
    wrong knob.
    """
    if kind not in JOBS:
        raise UserError(f"there is no kind of job called {kind!r}; there are {', '.join(JOBS)}")
    if not isinstance(config, JobConfig):
        config = shortening.read(kind, dict(config))
    if SavedPreset.objects.filter(owner=user).count() >= MAX_KEPT:
        raise UserError(f"you have {MAX_KEPT} presets, the most there can be; delete one first")
    made, _ = SavedPreset.objects.update_or_create(
        owner=user,
        kind=kind,
        name=_fitting("name", name, 80),
        defaults={
            "description": _fitting("description", description, 300, may_be_empty=True),
            "config": shortening.short(config),
        },
    )
    return made


def rename_preset(user: User, pk: int, name: str) -> SavedPreset | None:
    """Call a preset otherwise; None when the user has none such. Raises UserError."""
    preset = SavedPreset.objects.filter(owner=user, pk=pk).first()
    if preset is None:
        return None
    preset.name = _fitting("name", name, 80)
    try:
        with transaction.atomic():
            preset.save(update_fields=["name"])
    except IntegrityError:
        raise UserError(
            f"you have a {preset.kind} preset called {preset.name!r} already; take another name"
        ) from None
    return preset


def delete_preset(user: User, pk: int) -> bool:
    """Delete a preset of the user; False when there is none such. Runs made from it stay."""
    return SavedPreset.objects.filter(owner=user, pk=pk).delete()[0] == 1


def kept_by(user: User, kind: str = "") -> QuerySet[SavedPreset]:
    """The presets that the user kept, by name."""
    kept = SavedPreset.objects.filter(owner=user)
    return kept.filter(kind=kind) if kind else kept


def presets_of(user: User, kind: str) -> dict[str, Preset]:
    """Every preset of ``kind`` that the user can start from: Kos's own first, then the kept."""
    built_in = {name: preset for name, preset in PRESETS.items() if preset.kind == kind}
    return built_in | {f"{PREFIX}{kept.pk}": as_preset(kept) for kept in kept_by(user, kind)}


def find_preset(user: User, name: str) -> Preset | None:
    """The preset that an address or a call names, if the user can start from it."""
    pk = number(name.removeprefix(PREFIX)) if name.startswith(PREFIX) else None
    if pk is None:
        return PRESETS.get(name)
    kept = SavedPreset.objects.filter(owner=user, pk=pk).first()
    return as_preset(kept) if kept is not None else None


def as_preset(kept: SavedPreset) -> Preset:
    return Preset(kept.kind, kept.name, kept.description, kept.config)


def _fitting(what: str, text: str, most: int, *, may_be_empty: bool = False) -> str:
    text = " ".join(text.split())
    if not text and not may_be_empty:
        raise UserError(f"a preset needs a {what}")
    if len(text) > most or "\0" in text:
        raise UserError(f"the {what} has {len(text)} characters; at most {most} would do")
    return text
