"""Bringing events to webhooks: who is due, one try each, and when the next one is.

A try is claimed in the database before it is made, so that several workers share the work and
a crash costs a minute.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from datetime import timedelta
from typing import NamedTuple

import httpx
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.accounts.sealing import unseal
from apps.automation.models import Delivery, Webhook
from apps.automation.webhooks import check_address
from kos.client import signatures
from kos.errors import UserError
from kos.tools.net.guard import guarded_transport

# Waits before the second and every further try: eight tries in 24 hours.
WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 420, 759))
TRIES = len(WAITS) + 1
JITTER = 0.1
LEASE = timedelta(minutes=1)
SECONDS = 10.0
AT_ONCE = 20
KEPT_FOR = timedelta(days=30)
MOST_REPLY_BYTES = 4096
EXCERPT_CHARS = 500


class Outcome(NamedTuple):
    """What came of a try: the status, if there was a reply, and its first words."""

    status: int | None
    reply: str

    @property
    def is_delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Parcel(NamedTuple):
    """One try, with all that it needs of the database."""

    delivery: Delivery
    url: str
    body: bytes
    headers: dict[str, str]


def deliver_due(*, transport: httpx.AsyncBaseTransport | None = None) -> int:
    """Make the tries that are due, many at a time; returns how many. Blocks until all ended."""
    claimed = claim()
    parcels = [parcel for one in claimed if (parcel := _pack(one)) is not None]
    if parcels:
        outcomes = asyncio.run(_send_all(parcels, transport))
        for parcel, outcome in zip(parcels, outcomes, strict=True):
            record(parcel.delivery, outcome)
    return len(claimed)


@transaction.atomic
def claim() -> list[Delivery]:
    """Deliveries whose time has come; nobody else has them for a minute."""
    now = timezone.now()
    due = (
        Delivery.objects.select_for_update(skip_locked=True, of=("self",))
        .filter(status=Delivery.Status.WAITING, due__lte=now, webhook__is_active=True)
        .select_related("webhook")
        .order_by("due")[:AT_ONCE]
    )
    found = list(due)
    for delivery in found:
        delivery.tries += 1
        delivery.due = now + LEASE
    Delivery.objects.bulk_update(found, ["tries", "due"])
    return found


def record(delivery: Delivery, outcome: Outcome) -> None:
    """Keep what came of a try; after the last one that failed the delivery has."""
    now = timezone.now()
    delivery.reply_status = outcome.status
    delivery.reply = outcome.reply
    if outcome.is_delivered:
        delivery.status = Delivery.Status.DELIVERED
    elif delivery.tries >= TRIES:
        delivery.status = Delivery.Status.FAILED
    else:
        delivery.due = now + wait_after(delivery.tries)
    if delivery.status != Delivery.Status.WAITING:
        delivery.ended = now
    delivery.save(update_fields=["reply_status", "reply", "status", "due", "ended"])


def wait_after(tries: int) -> timedelta:
    """How long to wait after so many tries, give or take a tenth: not all come back at once."""
    return WAITS[tries - 1] * (1 + random.uniform(-JITTER, JITTER))  # noqa: S311 (spreads, hides nothing)


def sweep() -> int:
    """Delete deliveries that ended long ago; returns how many."""
    old = Delivery.objects.filter(created__lt=timezone.now() - KEPT_FOR)
    return old.exclude(status=Delivery.Status.WAITING).delete()[0]


def secrets_of(webhook: Webhook) -> list[str]:
    """The secrets that sign now, the newest first."""
    sealed = [webhook.secret] + ([webhook.old_secret] if webhook.has_two_secrets else [])
    return [unseal(one) for one in sealed]


def _pack(delivery: Delivery) -> Parcel | None:
    """What to send; None, and a failed try, when the secret cannot be opened."""
    body = json.dumps(delivery.body, separators=(",", ":")).encode()
    try:
        secrets = secrets_of(delivery.webhook)
    except UserError as error:
        record(delivery, Outcome(None, str(error)))
        return None
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Kos-Webhooks/1",
        "Kos-Event": delivery.kind,
        "Kos-Delivery": str(delivery.pk),
        signatures.HEADER: signatures.sign(secrets, body, at=int(time.time())),
    }
    return Parcel(delivery, delivery.webhook.url, body, headers)


async def _send_all(
    parcels: list[Parcel], transport: httpx.AsyncBaseTransport | None
) -> list[Outcome]:
    client = httpx.AsyncClient(
        transport=transport or guarded_transport(settings.WEBHOOK_HOSTS),
        timeout=SECONDS,
        trust_env=False,
        # A redirect is an answer like any other: following it could lead inside.
        follow_redirects=False,
    )
    async with client:
        return await asyncio.gather(*(_send(client, parcel) for parcel in parcels))


async def _send(client: httpx.AsyncClient, parcel: Parcel) -> Outcome:
    try:
        url = check_address(parcel.url)
        async with asyncio.timeout(SECONDS):
            call = client.stream("POST", url, content=parcel.body, headers=parcel.headers)
            async with call as response:
                return Outcome(response.status_code, await _excerpt(response))
    except TimeoutError:
        return Outcome(None, f"no answer within {SECONDS:g} seconds")
    except httpx.TimeoutException:
        return Outcome(None, f"no answer within {SECONDS:g} seconds")
    except (httpx.HTTPError, UserError) as error:
        return Outcome(None, clean(f"cannot be reached: {error}"))


async def _excerpt(response: httpx.Response) -> str:
    read = b""
    async for chunk in response.aiter_raw():
        read += chunk
        if len(read) >= MOST_REPLY_BYTES:
            break
    return clean(read[:MOST_REPLY_BYTES].decode("utf-8", "replace"))


def clean(text: str) -> str:
    """The first words of what a stranger's server said, without what does not print."""
    return "".join(one if one.isprintable() else " " for one in text)[:EXCERPT_CHARS].strip()
