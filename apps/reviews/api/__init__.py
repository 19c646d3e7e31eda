"""Reviews over REST: queues, items with their verdicts, disputes, agreement, exports."""

from __future__ import annotations

from apps.reviews.api import agreement, disputes, items, queues
from apps.reviews.api.room import router

__all__ = ["agreement", "disputes", "items", "queues", "router"]
