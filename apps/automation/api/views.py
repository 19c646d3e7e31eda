"""Saved views over REST: a list with its filters under a name, own or shared."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Schema, Status
from ninja.errors import HttpError

from apps.accounts import saved
from apps.accounts.auth import user_in
from apps.accounts.models import SavedView, Scope, User
from apps.automation.paging import Page, Paging, page, shown
from apps.automation.rest import In, Room

router = Room("views", reading=Scope.ACCOUNT, writing=Scope.ACCOUNT)


class ViewOut(Schema):
    id: int
    page: str = Field(description="The list it is of.")
    name: str
    query: str = Field(description="Its filters, as in the page's address.")
    url: str
    owner: str
    is_shared: bool
    created: datetime


class ViewIn(In):
    page: str = Field(max_length=40, examples=["runs:list"])
    name: str = Field(min_length=1, max_length=saved.NAME_CHARS)
    query: str = Field("", max_length=saved.QUERY_CHARS, examples=["kind=train&status=failed"])
    is_shared: bool = Field(False, description="Everybody sees it.")


class ViewWanted(Paging):
    page: str = Field("", max_length=40)


@router.get("", response=Page[ViewOut], summary="My saved views, and those that others share")
def list_(request: HttpRequest, wanted: Query[ViewWanted]) -> dict[str, Any]:
    user = user_in(request)
    found = SavedView.objects.visible_to(user).select_related("user")
    if wanted.page:
        found = found.filter(page=wanted.page)
    return shown(page(found, cursor=wanted.cursor, limit=wanted.limit), _out)


@router.post("", response={201: ViewOut}, summary="Keep a list's filters under a name")
def keep(request: HttpRequest, body: ViewIn) -> Status[dict[str, Any]]:
    """In place of an own one of that name; 409 for a list that is not there."""
    view = saved.keep_view(user_in(request), body.page, body.name, body.query, body.is_shared)
    return Status(201, _out(view))


@router.get("{int:pk}", response=ViewOut, summary="One saved view")
def get(request: HttpRequest, pk: int) -> dict[str, Any]:
    return _out(_one(user_in(request), pk))


@router.delete("{int:pk}", response={204: None}, summary="Delete a saved view")
def delete(request: HttpRequest, pk: int) -> Status[None]:
    """One's own; admins those that are shared as well."""
    user = user_in(request)
    _one(user, pk)
    if saved.delete_view(user, pk) is None:
        raise HttpError(403, "this view is another person's; admins delete those that are shared")
    return Status(204, None)


def _one(user: User, pk: int) -> SavedView:
    return get_object_or_404(SavedView.objects.visible_to(user).select_related("user"), pk=pk)


def _out(view: SavedView) -> dict[str, Any]:
    address = saved.address_of(view.page) or ""
    names = ("id", "page", "name", "query", "is_shared", "created")
    return {
        **{name: getattr(view, name) for name in names},
        "url": f"{address}?{view.query}" if view.query else address,
        "owner": view.user.username,
    }
