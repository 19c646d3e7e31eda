"""A reviewer sees a few answers twice, without being told: how steady is their own verdict?"""

from __future__ import annotations

import hashlib

from django.db.models import Max

from apps.accounts.models import User
from apps.reviews.models import Item

# So many other items lie between an answer and its repeat, where there are so many left.
GAP = 8


def plan(item: Item, user: User) -> Item | None:
    """Put the item in the queue once more for ``user``, by chance; None when it is not chosen."""
    queue = item.queue
    if item.repeat_of_id is not None or _chance(item, user) >= queue.repeat_percent / 100:
        return None
    last = queue.items.aggregate(last=Max("position"))["last"] or 0
    repeat, _ = Item.objects.get_or_create(
        repeat_of=item,
        only_for=user,
        defaults={
            "queue": queue,
            "trace_id": item.trace_id,
            "position": min(item.position + GAP, last + 1),
            "reasons": item.reasons,
        },
    )
    return repeat


def _chance(item: Item, user: User) -> float:
    digest = hashlib.sha256(f"{item.queue.seed}:{item.trace_id}:{user.pk}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
