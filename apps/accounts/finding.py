"""People, for admins."""

from __future__ import annotations

from django.db.models import Q
from django.urls import reverse

from apps.accounts.hits import Hit
from apps.accounts.models import User


def find(user: User, words: str, limit: int) -> list[Hit]:
    if not user.is_admin:
        return []
    fits = Q(username__icontains=words) | Q(email__icontains=words)
    fits |= Q(first_name__icontains=words) | Q(last_name__icontains=words)
    rows = User.objects.filter(fits).order_by("username")[:limit]
    return [
        Hit(
            "Members",
            row.get_full_name() or row.username,
            row.get_role_display(),
            f"{reverse('accounts:members')}?q={row.username}",
        )
        for row in rows
    ]
