"""Deployments by name or number, and aliases."""

from __future__ import annotations

from django.db.models import Q
from django.urls import reverse

from apps.accounts.hits import Hit, number_in
from apps.accounts.models import User
from apps.deployments.models import Alias, Deployment


def find(user: User, words: str, limit: int) -> list[Hit]:
    """For engineers; the others choose among deployments in the playground."""
    if not user.is_engineer:
        return []
    return _deployments(user, words, limit) + _aliases(words, limit)


def _deployments(user: User, words: str, limit: int) -> list[Hit]:
    number = number_in(words)
    fits = Q(name__icontains=words)
    if number is not None:
        fits |= Q(pk=number)
    rows = Deployment.objects.visible_to(user).filter(fits).select_related("run")
    return [
        Hit(
            "Deployments",
            row.name,
            f"{row.get_engine_display()} {row.pk}, {row.state}",
            reverse("deployments:detail", args=[row.pk]),
        )
        for row in rows.order_by("-pk")[:limit]
    ]


def _aliases(words: str, limit: int) -> list[Hit]:
    rows = Alias.objects.filter(name__icontains=words).select_related("deployment")
    return [
        Hit(
            "Deployments",
            row.name,
            f"alias of {row.deployment.name}",
            reverse("deployments:alias", args=[row.name]),
        )
        for row in rows[:limit]
    ]
