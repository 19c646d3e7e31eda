"""Where one is signed in, over REST."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest
from ninja import Field, Query, Schema, Status

from apps.accounts import audit, sessions
from apps.accounts.auth import user_in
from apps.accounts.models import Scope, Verb
from apps.automation.paging import Page, Paging, shown, slice_page
from apps.automation.rest import Room

router = Room("sessions", reading=Scope.ACCOUNT, writing=Scope.ACCOUNT)


class SessionOut(Schema):
    """A signed-in browser. `name` stands for its key, which is a secret."""

    name: str
    browser: str
    ip: str
    since: datetime | None
    ends: datetime
    is_current: bool = Field(description="The one that asks.")


@router.get("", response=Page[SessionOut], summary="The browsers in which I am signed in")
def list_(request: HttpRequest, wanted: Query[Paging]) -> dict[str, Any]:
    places = sessions.of(user_in(request), current=request.session.session_key)
    found = slice_page(places, cursor=wanted.cursor, limit=wanted.limit, key="sessions")
    return shown(found, lambda place: place._asdict())


@router.delete("", response={204: None}, summary="Sign out everywhere else")
def end_others(request: HttpRequest) -> Status[None]:
    """With a token: everywhere."""
    user = user_in(request)
    ended = sessions.end_others(user, current=request.session.session_key)
    audit.note(user, Verb.SESSION_ENDED, user, ended=ended)
    return Status(204, None)


@router.delete("{slug:name}", response={204: None}, summary="Sign one browser out")
def end(request: HttpRequest, name: str) -> Status[None]:
    user = user_in(request)
    if not sessions.end(user, name):
        raise Http404
    audit.note(user, Verb.SESSION_ENDED, user, ended=1)
    return Status(204, None)
