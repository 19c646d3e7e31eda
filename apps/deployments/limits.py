"""What a caller may ask: requests a minute for a token, tokens a day for a person, and so many
answers at a time.

All are counted in this process, the day's tokens from the rows of all processes: a console of
several web processes grants the rate to each of them.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import F, Sum
from django.utils import timezone

from apps.accounts import audit
from apps.accounts.models import User, Verb
from apps.automation.rates import Buckets
from apps.automation.seats import Seats, Words
from apps.deployments import memo
from apps.deployments.models import Allowance, Usage

TOKENS_PER_DAY = 2_000_000
REQUESTS_PER_MINUTE = 240


class Grant(NamedTuple):
    """The limits of one person; 0 is no limit."""

    tokens_per_day: int = TOKENS_PER_DAY
    requests_per_minute: int = REQUESTS_PER_MINUTE


def grant_of(user: User) -> Grant:
    """What the user may ask: what an admin set, else the usual."""
    row = Allowance.objects.filter(user=user).first()
    return Grant(row.tokens_per_day, row.requests_per_minute) if row else Grant()


def set_allowance(user: User, *, tokens_per_day: int, requests_per_minute: int) -> Allowance:
    """Grant these limits to ``user`` from now on."""
    row, _ = Allowance.objects.update_or_create(
        user=user,
        defaults={"tokens_per_day": tokens_per_day, "requests_per_minute": requests_per_minute},
    )
    audit.note(
        audit.actor(),
        Verb.LIMITS_SET,
        user,
        tokens_per_day=tokens_per_day,
        requests_per_minute=requests_per_minute,
    )
    transaction.on_commit(memo.forget_all)
    return row


def tokens_today(user: User) -> int:
    """What the user's requests took since midnight UTC, prompts included."""
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    rows = Usage.objects.filter(user=user, created__gte=midnight)
    told = rows.aggregate(total=Sum(F("prompt_tokens") + F("completion_tokens"), default=0))
    return int(told["total"])


def seconds_to_midnight() -> int:
    """Until a day's allowance begins anew (UTC)."""
    now = timezone.now()
    tomorrow = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return math.ceil((tomorrow - now).total_seconds())


BUCKETS = Buckets()
# Answers under way in this process: at /v1 from the request's body to the answer's last byte, in
# the playground while it is written.
ANSWERS = Seats(
    Words(
        "You have {} answers under way at once, which is the most. Wait for one to end.",
        "Kos writes {} answers at once here, which is the most. Try again in a moment.",
    ),
    lambda: settings.MOST_ANSWERS,
    lambda: settings.MOST_ANSWERS_OWN,
)
