"""Starts a run once, however often its form is sent: a double click, a reload, a retry."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.automation.models import KeptReply
from apps.runs.models import Run

KEY = "key"
# What may differ between two sends of one form.
ASIDE = ("csrfmiddlewaretoken",)
CREATED = 201


@transaction.atomic
def started(user: User, path: str, data: Mapping[str, Any], start: Callable[[], Run]) -> Run:
    """What ``start`` makes; or what it made before of the same form with the same knobs.

    Whatever ``start`` raises leaves nothing behind. A second send waits for the first to end.
    """
    key, digest = str(data.get(KEY, "")), digest_of(data)
    if not 8 <= len(key) <= 64:
        return start()
    # A form that is changed and sent again is a new start: its digest is part of the key.
    kept, is_new = KeptReply.objects.get_or_create(
        user=user,
        key=f"form {key} {digest[:32]}",
        defaults={"method": "POST", "path": path[:400], "digest": digest},
    )
    if not is_new and kept.status == CREATED:
        before = Run.objects.filter(pk=kept.headers["run"]).first()
        if before is not None:
            return before
    run = start()
    kept.status, kept.headers = CREATED, {"run": run.pk}
    kept.save(update_fields=["status", "headers"])
    return run


def digest_of(data: Mapping[str, Any]) -> str:
    """A fingerprint of what was typed."""
    said = sorted((name, str(data[name])) for name in data if name not in ASIDE)
    return hashlib.sha256(repr(said).encode()).hexdigest()
