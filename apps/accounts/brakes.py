"""A brake on guessing: after some failed tries the next one waits, each time longer.

The counts lie in the database, so that every web process knows of them. A try counts as failed
before it is looked at and is taken back when it was right: a thousand at once are not a thousand
guesses. While a place waits nothing is looked at, so what was right by chance is not told.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from ninja.errors import HttpError

from apps.accounts.models import Brake

FIRST_WAIT_SECONDS = 15
LONGEST_WAIT_SECONDS = 900
# What is older says nothing any more.
FORGOTTEN_AFTER = timedelta(hours=24)


class Place(NamedTuple):
    """Where guesses are counted: its hash, and how many are free of waiting."""

    key: str
    free: int


class TooManyTriesError(HttpError):
    """Nothing is looked at for ``wait_seconds``, whatever was sent."""

    def __init__(self, wait_seconds: int) -> None:
        self.wait_seconds = wait_seconds
        super().__init__(
            429, f"too many failed tries from here; send nothing for {wait_seconds} s, then again"
        )


def of_name(name: str) -> Place:
    """Sign-ins under a name, whether somebody has it or not."""
    return _place("name", name.strip().lower(), 5)


def of_address(address: str) -> Place:
    """Sign-ins from an address. An office shares one, so more are free."""
    return _place("address", network_of(address), 30)


def of_second_factor(user_id: int) -> Place:
    """Codes of a person whose password is right already."""
    return _place("code", str(user_id), 5)


def of_tokens(address: str) -> Place:
    """API tokens from an address that nobody has."""
    return _place("token", network_of(address), 20)


def take(*places: Place) -> datetime | None:
    """Count a try in every place before it is looked at; None, or until when none is."""
    now = timezone.now()
    with transaction.atomic():
        rows = _locked(places, now)
        held = [row.until for row in rows if row.until is not None and row.until > now]
        if held:
            return max(held)
        for place, row in zip(places, rows, strict=True):
            row.failures += 1
            row.until = _until(row.failures - place.free, now)
            row.touched = now
        Brake.objects.bulk_update(rows, ["failures", "until", "touched"])
    return None


def held_until(place: Place) -> datetime | None:
    """Until when nothing is looked at here; None when the next try is."""
    row = Brake.objects.filter(pk=place.key, until__gt=timezone.now()).first()
    return row.until if row is not None else None


def clear(*places: Place) -> None:
    """The try was right: what failed before counts no more. What is too old goes with it."""
    old = Q(touched__lt=timezone.now() - FORGOTTEN_AFTER)
    Brake.objects.filter(Q(pk__in=[place.key for place in places]) | old).delete()


@transaction.atomic
def take_back(*places: Place) -> None:
    """The try was right, but says nothing of the others: whoever has an account could clear an
    address with it and guess on.
    """
    now = timezone.now()
    for place, row in zip(places, _locked(places, now), strict=True):
        row.failures = max(0, row.failures - 1)
        row.until = _until(row.failures - place.free, row.touched)
        row.save(update_fields=["failures", "until"])


def seconds_to(until: datetime) -> int:
    """How long that is from now, at least a second."""
    return max(1, math.ceil((until - timezone.now()).total_seconds()))


def network_of(address: str) -> str:
    """An IPv4 address, or the network of an IPv6 one: a house has a whole /64 of those."""
    try:
        ip = ip_address(address)
    except ValueError:
        return ""
    return str(ip) if ip.version == 4 else str(ip_network(f"{ip}/64", strict=False))


def _place(kind: str, text: str, free: int) -> Place:
    return Place(hashlib.sha256(f"{kind} {text}".encode()).hexdigest(), free)


def _locked(places: Sequence[Place], now: datetime) -> list[Brake]:
    """A row a place, held until the transaction ends; always taken in one order."""
    keys = sorted({place.key for place in places})
    Brake.objects.bulk_create([Brake(key=key, touched=now) for key in keys], ignore_conflicts=True)
    held = Brake.objects.select_for_update().filter(pk__in=keys).order_by("pk")
    rows = {row.key: row for row in held}
    if len(rows) < len(keys):
        return _locked(places, now)  # a success cleared one between the two statements
    for row in rows.values():
        if row.touched < now - FORGOTTEN_AFTER:
            row.failures, row.until = 0, None
    return [rows[place.key] for place in places]


def _until(num_too_many: int, since: datetime) -> datetime | None:
    """The end of the wait: 15 s after the first that is not free, then twice as long each time."""
    if num_too_many < 0:
        return None
    # Past a few doublings it is the longest one anyway; 2**1000 is no number of seconds.
    seconds = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(num_too_many, 10))
    return since + timedelta(seconds=seconds)
