"""Deleting the files of an artifact, and keeping it from that. The row stays: it is lineage."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from apps.accounts import audit
from apps.accounts.models import User, Verb
from apps.runs.models import ACTIVE, Artifact, Run
from kos.errors import UserError

SHOWN = 50


class Need(NamedTuple):
    """Who depends on an artifact; with ``refuses`` its files cannot be deleted now."""

    text: str
    url: str = ""
    refuses: bool = False


_SOURCES: list[Callable[[Artifact], Iterable[Need]]] = []


def add(source: Callable[[Artifact], Iterable[Need]]) -> None:
    """Let another room say what it needs artifacts for."""
    if source not in _SOURCES:
        _SOURCES.append(source)


def needs(artifact: Artifact) -> list[Need]:
    """All that depends on it, what refuses first."""
    found = [*_of_runs(artifact)]
    for source in _SOURCES:
        found += source(artifact)
    return sorted(found, key=lambda need: not need.refuses)


def pin(artifact: Artifact, *, is_pinned: bool) -> None:
    """Keep it from being deleted, or let go."""
    Artifact.objects.filter(pk=artifact.pk).update(is_pinned=is_pinned)


def free(artifact: Artifact, user: User | None) -> int:
    """Delete its files and note who did (None: the rules for storage); the bytes given back.

    Raises UserError when it is pinned, gone already, or something needs it.
    """
    with transaction.atomic():
        locked = Artifact.objects.select_for_update().get(pk=artifact.pk)
        _check(locked)
        locked.freed, locked.freed_by = timezone.now(), user
        locked.save(update_fields=["freed", "freed_by"])
        audit.note(user, Verb.MODEL_DELETED, locked, kind=locked.kind, bytes=locked.size_bytes)
        transaction.on_commit(lambda: _remove(locked))
    return locked.size_bytes


def _check(artifact: Artifact) -> None:
    if artifact.freed is not None:
        raise UserError(f"The files of {artifact.name} are deleted already.")
    if artifact.is_pinned:
        raise UserError(f"{artifact.name} is pinned; unpin it first.")
    refused = next((need for need in needs(artifact) if need.refuses), None)
    if refused is not None:
        raise UserError(f"{artifact.name} is needed: {refused.text}.")


def _of_runs(artifact: Artifact) -> Iterator[Need]:
    maker = artifact.run
    if maker.status in ACTIVE:
        yield Need(f"run {maker.name} is not over", reverse("runs:detail", args=[maker.pk]), True)
    elif maker.pipeline is not None and maker.pipeline.status in ACTIVE:
        url = reverse("runs:detail", args=[maker.pipeline.pk])
        yield Need(f"pipeline {maker.pipeline.name} goes on from it", url, True)
    for run in Run.objects.filter(inputs__artifact=artifact).distinct().order_by("-pk")[:SHOWN]:
        url = reverse("runs:detail", args=[run.pk])
        if run.kind == "deploy":
            continue  # said of its deployment
        if run.status in ACTIVE:
            yield Need(f"run {run.name} reads it; wait or stop it", url, True)
        elif run.can_resume:
            yield Need(f"run {run.name} could not be resumed", url)
        else:
            yield Need(f"run {run.name} worked on it; what that made keeps its own files", url)


def _remove(artifact: Artifact) -> None:
    place = artifact.location
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)
