"""The database as the cache of the tools: one for all processes."""

from __future__ import annotations

import json
import secrets
from datetime import timedelta
from typing import Any

from django.utils import timezone

from apps.tools.models import CachedAnswer

# Now and then a write sweeps out what is stale; a beat of its own would be one part more.
SWEEP_ONE_IN = 64


class DatabaseCache:
    """``kos.tools.desk.Cache`` over the table of cached answers."""

    async def get(self, key: str) -> dict[str, Any] | None:
        """What was put there, unless its time is over."""
        found = await CachedAnswer.objects.filter(key=key, expires__gt=timezone.now()).afirst()
        if found is None:
            return None
        value: dict[str, Any] = json.loads(found.value)
        return value

    async def put(self, key: str, value: dict[str, Any], seconds: float) -> None:
        """Keep ``value`` for ``seconds``."""
        fields = {
            "value": json.dumps(value),
            "expires": timezone.now() + timedelta(seconds=seconds),
        }
        await CachedAnswer.objects.aupdate_or_create(key=key, defaults=fields)
        if secrets.randbelow(SWEEP_ONE_IN) == 0:
            await prune()


async def prune() -> int:
    """Delete what is stale; returns how many answers that were."""
    return (await CachedAnswer.objects.filter(expires__lte=timezone.now()).adelete())[0]
