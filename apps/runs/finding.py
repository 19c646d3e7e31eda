"""Runs and models by name or number."""

from __future__ import annotations

from django.db.models import Q
from django.urls import reverse

from apps.accounts.hits import Hit, number_in
from apps.accounts.models import User
from apps.runs.models import Artifact, Run

MODELS = (
    Artifact.Kind.BASE,
    Artifact.Kind.ADAPTER,
    Artifact.Kind.MERGED,
    Artifact.Kind.QUANTISED,
)


def find(user: User, words: str, limit: int) -> list[Hit]:
    """Runs by name, tag or number, then models by name, hash or number."""
    if not user.is_engineer:
        return []
    return _runs(user, words, limit) + _models(words, limit)


def _runs(user: User, words: str, limit: int) -> list[Hit]:
    number = number_in(words)
    fits = Q(name__icontains=words) | Q(tags__contains=[words.lower()[:40]])
    if number is not None:
        fits |= Q(pk=number)
    rows = Run.objects.visible_to(user).filter(fits).order_by("-pk")
    found = rows.values_list("pk", "name", "kind", "status", "stage")[:limit]
    return [
        Hit("Runs", name, f"{stage or kind} {pk}, {status}", reverse("runs:detail", args=[pk]))
        for pk, name, kind, status, stage in found
    ]


def _models(words: str, limit: int) -> list[Hit]:
    number = number_in(words)
    fits = Q(name__icontains=words)
    if len(words) >= 6:
        fits |= Q(digest__startswith=words.lower())
    if number is not None:
        fits |= Q(pk=number)
    rows = Artifact.objects.filter(fits, kind__in=MODELS).order_by("-pk")
    found = rows.values_list("pk", "name", "kind", "digest")[:limit]
    labels = dict(Artifact.Kind.choices)
    return [
        Hit("Models", name, f"{labels[kind]}, {digest[:12]}", reverse("runs:model", args=[pk]))
        for pk, name, kind, digest in found
    ]
