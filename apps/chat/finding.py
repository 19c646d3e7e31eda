"""One's own conversations, by words in them."""

from __future__ import annotations

from apps.accounts.hits import Hit
from apps.accounts.models import User
from apps.chat.models import Conversation


def find(user: User, words: str, limit: int) -> list[Hit]:
    rows = Conversation.objects.visible_to(user).listed().search(words).order_by("-pk")
    return [
        Hit("Chats", row.title, f"{row.created:%-d %b %Y}", row.get_absolute_url())
        for row in rows[:limit]
    ]
