"""Saved views: a list with its filters, order and columns under a name, own or shared."""

from __future__ import annotations

from typing import NamedTuple

from django.http import QueryDict
from django.urls import NoReverseMatch, reverse

from apps.accounts.models import SavedView, User
from kos.errors import UserError

MAX_VIEWS = 50
NAME_CHARS = SavedView._meta.get_field("name").max_length or 60
QUERY_CHARS = SavedView._meta.get_field("query").max_length or 1000
# What says where somebody is in a list, not what the list is.
PLACES = ("page", "rows", "shown", "cursor", "fragment", "columns_for")


class Tab(NamedTuple):
    """A saved view as its bar draws it."""

    pk: int
    name: str
    url: str
    is_here: bool
    is_own: bool
    owner: str


def keep_view(user: User, page: str, name: str, query: str, is_shared: bool = False) -> SavedView:
    """Keep ``query`` of the list ``page`` under ``name``; the user's own of that name is replaced.

    Raises UserError for an empty or long name, a page that is no list, and one view too many.
    """
    name = " ".join(name.split())
    if not name:
        raise UserError("A view needs a name; write at least one letter.")
    if len(name) > NAME_CHARS:
        raise UserError(f"The name has {len(name)} characters; {NAME_CHARS} fit.")
    query = plain(query)
    if len(query) > QUERY_CHARS:
        raise UserError(f"These filters are too long to keep: {len(query)} characters.")
    if address_of(page) is None:
        raise UserError(f"There is no list called {page!r}.")
    kept = SavedView.objects.filter(user=user, page=page)
    if kept.exclude(name=name).count() >= MAX_VIEWS:
        raise UserError(f"You have {MAX_VIEWS} views of this list; delete one first.")
    view, _created = SavedView.objects.update_or_create(
        user=user, page=page, name=name, defaults={"query": query, "is_shared": is_shared}
    )
    return view


def delete_view(user: User, pk: int) -> SavedView | None:
    """Delete the user's own view, or as an admin a shared one; returns what it was.

    None when there was none to delete.
    """
    views = SavedView.objects.visible_to(user).filter(pk=pk)
    view = views.first() if user.is_admin else views.filter(user=user).first()
    if view is not None:
        SavedView.objects.filter(pk=pk).delete()
    return view


def tabs(user: User, page: str, query: str) -> list[Tab]:
    """The views of a list that the user sees, own ones first; the one of ``query`` is here."""
    address, here = address_of(page) or "", plain(query)
    views = SavedView.objects.visible_to(user).filter(page=page).select_related("user")
    found = [
        Tab(
            view.pk,
            view.name,
            f"{address}?{view.query}" if view.query else address,
            view.query == here,
            view.user_id == user.pk,
            view.user.username,
        )
        for view in views
    ]
    return sorted(found, key=lambda tab: not tab.is_own)


def plain(query: str) -> str:
    """A query without places in the list and empty fields, in one order: equal lists are equal."""
    given = QueryDict(query)
    pairs = sorted(
        (key, value)
        for key, values in given.lists()
        for value in values
        if value and key not in PLACES
    )
    made = QueryDict(mutable=True)
    for key, value in pairs:
        made.appendlist(key, value)
    return made.urlencode()


def address_of(page: str) -> str | None:
    """Where the list of this URL name is."""
    try:
        return reverse(page)
    except NoReverseMatch:
        return None
