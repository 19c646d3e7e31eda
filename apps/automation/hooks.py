"""Telling webhooks of events: a row a receiver, in the transaction of what happened."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from django.db.models import Q
from django.utils import timezone

from apps.accounts.models import Role
from apps.automation.models import Delivery, Webhook

PING = "ping"
KINDS: Mapping[str, str] = {
    "run.queued": "A run waits for a worker",
    "run.started": "A worker took a run",
    "run.done": "A run ended well",
    "run.failed": "A run failed",
    "run.cancelled": "A run was stopped",
    "run.lost": "A worker fell silent; the run is tried again",
    "deployment.ready": "A deployment answers",
    "deployment.stopped": "A deployment answers no more",
    "review.submitted": "A review was handed in",
    "dataset.published": "A version of a dataset stands",
}
EVENT_CHARS = 12


def announce(kind: str, owner_id: int | None, data: Mapping[str, Any]) -> int:
    """Queue an event of ``kind`` for the webhooks of its owner, and for those that want
    everybody's; returns how many. ``data`` is JSON.
    """
    if kind not in KINDS:
        raise ValueError(f"there is no kind of event {kind!r}; there are {', '.join(KINDS)}")
    wide = Q(is_for_all=True, owner__role__in=[Role.ENGINEER, Role.ADMIN])
    receivers = Webhook.objects.filter(
        Q(owner=owner_id) | wide, Q(kinds=[]) | Q(kinds__contains=[kind])
    ).filter(is_active=True, owner__is_active=True)
    return len(queue(list(receivers), kind, data))


def queue(receivers: list[Webhook], kind: str, data: Mapping[str, Any]) -> list[Delivery]:
    """A delivery of one event to each of ``receivers``, due now."""
    if not receivers:
        return []
    now = timezone.now()
    body = {
        "id": f"evt_{secrets.token_hex(EVENT_CHARS)}",
        "kind": kind,
        "created": now.isoformat(),
        "data": dict(data),
    }
    return Delivery.objects.bulk_create(
        Delivery(webhook=webhook, kind=kind, body=body, due=now) for webhook in receivers
    )
