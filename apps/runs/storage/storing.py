"""The page of what takes room: by kind, with its budget, and what would go by the rules."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.template.defaultfilters import filesizeformat
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.guards import PageRequest, admin
from apps.runs.storage import tidying
from kos.errors import UserError

# What is not through by then goes the next time: nobody waits for a page for minutes.
SECONDS = 20.0
SHOWN = 25


@admin
@require_GET
def storage(request: PageRequest) -> HttpResponse:
    """What there is and what would go; nothing is deleted by looking."""
    try:
        stores = tidying.stores()
    except UserError as error:
        return render(request, "runs/storage.html", {"error": str(error)})
    ruled = [store for store in stores if store.rule is not None]
    context = {
        "stores": sorted(stores, key=lambda store: -store.total.size_bytes),
        "ruled": [store for store in ruled if store.going],
        "has_rules": bool(ruled),
        "num_going": sum(len(store.going) for store in ruled),
        "going_bytes": sum(store.going_bytes for store in ruled),
        "shown": SHOWN,
    }
    return render(request, "runs/storage.html", context)


@admin
@require_POST
def tidy(request: PageRequest) -> HttpResponse:
    """Delete now what the page shows."""
    try:
        found = tidying.tidy(request.user, seconds=SECONDS)
    except UserError as error:
        messages.error(request, f"{str(error)[:1].upper()}{str(error)[1:]}.")
        return redirect("runs:storage")
    num, size = sum(one.num for one in found), sum(one.size_bytes for one in found)
    messages.success(request, f"{num} deleted, {filesizeformat(size)} given back.")
    if left := sum(one.num_left for one in found):
        messages.warning(request, f"{left} more were not reached in {SECONDS:g} s; delete again.")
    return redirect("runs:storage")
