"""Keeping and deleting saved views: the two forms of the bar above a list."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from apps.accounts import saved, undo
from apps.accounts.guards import PageRequest, member
from kos.errors import UserError


@member
@require_POST
def keep(request: PageRequest) -> HttpResponse:
    """Save the list as it is shown; the user goes on looking at it."""
    page, query = request.POST.get("page", ""), request.POST.get("query", "")
    address = saved.address_of(page)
    if address is None:
        raise Http404
    try:
        view = saved.keep_view(
            request.user,
            page,
            request.POST.get("name", ""),
            query,
            bool(request.POST.get("shared")),
        )
    except UserError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, format_html("Saved as {}.", view.name))
    query = saved.plain(query)
    return redirect(f"{address}?{query}" if query else address)


@member
@require_POST
def delete(request: PageRequest, pk: int) -> HttpResponse:
    """Delete a view; the toast brings it back."""
    view = saved.delete_view(request.user, pk)
    if view is None:
        raise Http404
    fields = {"page": view.page, "name": view.name, "query": view.query}
    if view.is_shared:
        fields["shared"] = "1"
    undo.offer(request, f"The view {view.name} is deleted.", "accounts:keep_view", fields)
    return redirect(saved.address_of(view.page) or "home")
