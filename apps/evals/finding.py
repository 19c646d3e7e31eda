"""Evaluations and judges by name or number."""

from __future__ import annotations

from django.db.models import Q
from django.urls import reverse

from apps.accounts.hits import Hit, number_in
from apps.accounts.models import User
from apps.evals import reports
from apps.evals.models import Judge


def find(user: User, words: str, limit: int) -> list[Hit]:
    if not (user.is_engineer or user.is_reviewer):
        return []
    return _evaluations(user, words, limit) + _judges(words, limit)


def _evaluations(user: User, words: str, limit: int) -> list[Hit]:
    number = number_in(words)
    fits = Q(name__icontains=words)
    if number is not None:
        fits |= Q(pk=number)
    rows = reports.runs_for(user).filter(fits).values_list("pk", "name", "status")[:limit]
    return [
        Hit("Evaluations", name, f"evaluation {pk}, {status}", reverse("evals:run", args=[pk]))
        for pk, name, status in rows
    ]


def _judges(words: str, limit: int) -> list[Hit]:
    rows = Judge.objects.filter(Q(name__icontains=words) | Q(model__icontains=words))
    return [
        Hit(
            "Judges",
            row.name,
            f"{row.model}, {row.get_status_display().lower()}",
            reverse("evals:judge", args=[row.pk]),
        )
        for row in rows[:limit]
    ]
