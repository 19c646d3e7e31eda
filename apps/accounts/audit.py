"""The audit log: one call writes who did what to which object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Model
from django.http import HttpRequest

from apps.accounts import requests
from apps.accounts.models import AuditEntry, User

LONGEST = 300


def note(
    who: HttpRequest | User | AnonymousUser | None,
    verb: str,
    obj: Model | str = "",
    *,
    title: str = "",
    before: Mapping[str, Any] | None = None,
    **what: Any,
) -> AuditEntry:
    """Write that ``who`` did ``verb`` (an ``accounts.models.Verb``) to ``obj``.

    ``what`` is how things stand now, ``before`` how they stood. Never pass a secret or a
    patient's words: both are kept for good and shown to admins. ``who`` is None for somebody
    unknown, as at a failed sign-in; ``title`` says an object whose own words are secret. The entry is in the caller's transaction.
    """
    user = who.user if isinstance(who, HttpRequest) else who
    request = requests.current.get()
    return AuditEntry.objects.create(
        user=user if isinstance(user, User) else None,
        username=user.username if isinstance(user, User) else "",
        verb=verb,
        kind=(obj._meta.model_name or "") if isinstance(obj, Model) else "",
        key=str(obj.pk) if isinstance(obj, Model) else "",
        title=(title or str(obj))[:200],
        before=_plain(before or {}),
        after=_plain(what),
        request_id=requests.current_id.get(),
        ip=(request.META.get("REMOTE_ADDR") or None) if request is not None else None,
    )


def actor() -> User | None:
    """Whose request is being answered, by a page or with a token; None in a worker."""
    request = requests.current.get()
    user = getattr(request, "user", None)
    return user if isinstance(user, User) else None


def _plain(what: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON has it: long texts are cut, other things are said in words."""
    return {name: _value(value) for name, value in what.items() if value != ""}


def _value(value: Any) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case list() | tuple() | set() | frozenset():
            return [_value(one) for one in value]
        case _:
            return str(value)[:LONGEST]
