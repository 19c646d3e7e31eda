"""Review queues by name."""

from __future__ import annotations

from django.urls import reverse

from apps.accounts.hits import Hit
from apps.accounts.models import User
from apps.reviews.models import Queue


def find(user: User, words: str, limit: int) -> list[Hit]:
    rows = Queue.objects.visible_to(user).filter(name__icontains=words)[:limit]
    place = "reviews:detail" if user.is_admin else "reviews:agreement"
    return [
        Hit("Queues", row.name, row.get_status_display().lower(), reverse(place, args=[row.pk]))
        for row in rows
    ]
