"""The audit log over REST, for admins."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Schema

from apps.accounts import auditing
from apps.accounts.auth import require_admin
from apps.accounts.models import Scope, Verb
from apps.automation.paging import Page, Paging, page
from apps.automation.rest import Room

router = Room("audit", reading=Scope.ADMIN, writing=Scope.ADMIN)


class EntryOut(Schema):
    """Who did what to which object; names stay when people and things go."""

    id: int
    at: datetime
    username: str = Field(description="Empty: somebody unknown, as at a failed sign-in.")
    verb: str
    kind: str = Field(description="Of what it was done to.")
    key: str = Field(description="Its number.")
    title: str
    before: dict[str, Any]
    after: dict[str, Any]
    request_id: str
    ip: str | None


class EntryWanted(Paging):
    who: str = Field("", max_length=150)
    verb: Verb | None = None
    is_security: bool = Field(False, description="Only what an admin should see first.")
    kind: str = Field("", max_length=32)
    key: str = Field("", max_length=64)
    after: date | None = None
    before: date | None = None


@router.get("", response=Page[EntryOut], summary="Who did what, newest first")
def list_(request: HttpRequest, wanted: Query[EntryWanted]) -> dict[str, Any]:
    """Entries are only ever added."""
    require_admin(request)
    asked = wanted.dict(exclude={"cursor", "limit", "is_security"}, exclude_none=True)
    if wanted.is_security:
        asked["verb"] = "security"
    return page(auditing.narrow(asked), cursor=wanted.cursor, limit=wanted.limit)
