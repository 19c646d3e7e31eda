"""Keys of outside services: which there are, kept and forgotten. No call gives a text back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Schema, Status

from apps.accounts.auth import BearerAuth, require_admin, require_reader
from apps.accounts.models import Scope, User
from apps.automation.paging import Page, Paging, page, shown
from apps.automation.rest import In
from apps.tools import services
from apps.tools.api.room import router
from apps.tools.models import Key


class KeyOut(Schema):
    """That there is a key, and its last letters; never its text."""

    id: int
    name: str
    is_shared: bool = Field(description="For everybody, not one person's own.")
    last_four: str
    changed: datetime


class KeyIn(In):
    name: str = Field(pattern=r"^[a-z][a-z0-9_.-]{0,79}$", examples=["brave"])
    key: str = Field(
        min_length=1, max_length=services.MAX_KEY_CHARS, description="One line; encrypted at once."
    )
    owner: str = Field("", max_length=150, description="Whose own it is; empty: everybody's.")


@router.get("keys", response=Page[KeyOut], summary="Which keys can be used, by name")
def list_keys(request: HttpRequest, wanted: Query[Paging]) -> dict[str, Any]:
    keys = Key.objects.usable_by(require_reader(request))
    found = page(keys, cursor=wanted.cursor, limit=wanted.limit, key="name")
    return shown(found, _key_out)


@router.put("keys", response=KeyOut, summary="Keep a key", auth=BearerAuth(Scope.ADMIN))
def set_key(request: HttpRequest, body: KeyIn) -> KeyOut:
    """In place of an earlier one of that name and owner. It is never given back."""
    by = require_admin(request)
    owner = get_object_or_404(User, username=body.owner) if body.owner else None
    return _key_out(services.set_key(body.name, body.key, by=by, owner=owner))


@router.delete(
    "keys/{int:pk}",
    response={204: None},
    summary="Forget a key",
    auth=BearerAuth(Scope.ADMIN),
)
def forget_key(request: HttpRequest, pk: int) -> Status[None]:
    require_admin(request)
    services.delete_key(get_object_or_404(Key, pk=pk))
    return Status(204, None)


def _key_out(key: Key) -> KeyOut:
    return KeyOut(
        id=key.pk,
        name=key.name,
        is_shared=key.owner_id is None,
        last_four=key.last_four,
        changed=key.changed,
    )
