"""Tools by name."""

from __future__ import annotations

from django.urls import reverse

from apps.accounts.hits import Hit
from apps.accounts.models import User
from kos.tools.registry import all_tools


def find(user: User, words: str, limit: int) -> list[Hit]:
    if not (user.is_engineer or user.is_reviewer):
        return []
    wanted = words.lower().replace(" ", "_")
    names = [tool.name for tool in all_tools() if wanted in tool.name]
    return [
        Hit("Tools", name, "tool of the harness", reverse("tools:detail", args=[name]))
        for name in names[:limit]
    ]
