"""Datasets by name, and their examples by id."""

from __future__ import annotations

from django.urls import reverse

from apps.accounts.hits import Hit
from apps.accounts.models import User
from apps.datasets.models import DatasetVersion, Example


def find(user: User, words: str, limit: int) -> list[Hit]:
    """For everybody with an account: whoever knows the matter may read and mend a rubric."""
    return _versions(words, limit) + _examples(words, limit)


def _versions(words: str, limit: int) -> list[Hit]:
    """The newest version of each set that fits."""
    rows = DatasetVersion.objects.filter(dataset__name__icontains=words)
    rows = rows.order_by("dataset", "-number").distinct("dataset").select_related("dataset")
    return [
        Hit(
            "Datasets",
            row.dataset.name,
            f"version {row.number}",
            reverse("datasets:detail", args=[row.pk]),
        )
        for row in rows[:limit]
    ]


def _examples(words: str, limit: int) -> list[Hit]:
    """Examples whose id begins so: an id is typed or pasted, never guessed at."""
    rows = Example.objects.filter(external_id__startswith=words).select_related("version__dataset")
    rows = rows.defer("task").order_by("-version_id", "position")
    return [
        Hit(
            "Examples",
            row.external_id,
            str(row.version),
            reverse("datasets:example", args=[row.pk]),
        )
        for row in rows[:limit]
    ]
