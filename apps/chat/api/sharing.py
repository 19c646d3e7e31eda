"""Links by which others read a conversation without an account."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Schema, Status

from apps.automation.paging import Page, Paging, page, shown
from apps.automation.rest import In
from apps.chat import sharing
from apps.chat.api.room import find, router
from apps.chat.models import Share


class LinkIn(In):
    days: Literal[1, 7, 30, 90] = Field(7, description="How long the link lasts.")
    shows_model: bool = Field(False, description="Say which model answered.")


class LinkOut(Schema):
    """A link; it shows the branch as it was when the link was made."""

    id: int
    url: str
    shows_model: bool
    is_live: bool = Field(description="Neither over nor revoked.")
    created: datetime
    expires: datetime
    revoked: datetime | None


@router.get("/{int:pk}/shares", response=Page[LinkOut], summary="Links to a conversation")
def list_shares(request: HttpRequest, pk: int, wanted: Query[Paging]) -> dict[str, Any]:
    """Newest first, those that are over among them."""
    found = page(find(request, pk).shares.all(), cursor=wanted.cursor, limit=wanted.limit)
    return shown(found, lambda link: _out(request, link))


@router.post("/{int:pk}/shares", response={201: LinkOut}, summary="Make a link")
def share(request: HttpRequest, pk: int, body: LinkIn) -> Status[LinkOut]:
    """To what stands there now. Whoever has it reads it, without names of people."""
    link = sharing.share(find(request, pk), days=body.days, shows_model=body.shows_model)
    return Status(201, _out(request, link))


@router.delete("/shares/{int:pk}", response={204: None}, summary="End a link")
def revoke(request: HttpRequest, pk: int) -> Status[None]:
    """At once. One that had ended before stays as it is."""
    link = get_object_or_404(Share, pk=pk)
    sharing.revoke(find(request, link.conversation_id), pk)
    return Status(204, None)


def _out(request: HttpRequest, link: Share) -> LinkOut:
    return LinkOut(
        id=link.pk,
        url=request.build_absolute_uri(link.get_absolute_url()),
        shows_model=link.shows_model,
        is_live=link.is_live,
        created=link.created,
        expires=link.expires,
        revoked=link.revoked,
    )
