"""The list of runs: filters in the address, columns a person chose, many runs at once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse, HttpResponseNotModified, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET, require_POST

from apps.accounts import saved
from apps.accounts.guards import PageRequest, engineer
from apps.accounts.models import Role, User
from apps.accounts.numerals import number
from apps.datasets.models import DatasetVersion
from apps.runs.lists import columns, organising, rows
from apps.runs.lists.filters import GROUPS, RunFilters
from apps.runs.models import Artifact, Run, RunQuerySet, Status
from kos.config import JOBS

PAGE = "runs:list"
PAGE_SIZE = 50
# A page of more would be slow to lay out in a browser.
MOST_ROWS = 1000
MENU = 200
KEPT_LISTS = 32
_drawn: OrderedDict[str, bytes] = OrderedDict()
DENSITIES = dict(User._meta.get_field("density").flatchoices)
STATUS_WORDS = [(name, name.capitalize()) for name in GROUPS] + Status.choices


@engineer
@require_GET
def list(request: PageRequest) -> HttpResponse:
    """All runs; the stages of pipelines stay with their pipeline unless asked for.

    htmx asks for the rows alone every few seconds. When nothing changed since it last asked,
    the answer is 304 after one small query.
    """
    shown = columns.chosen(request.GET, request.session)
    is_refresh = bool(request.htmx) and "rows" in request.GET
    etag = _etag(request.GET, shown)
    if is_refresh and request.headers.get("If-None-Match") == etag:
        return HttpResponseNotModified()
    if is_refresh and etag in _drawn:
        return _fresh(HttpResponse(_drawn[etag]))
    filters, wrong = RunFilters.read(request.GET)
    context = _rows(request, filters, shown) | {"etag": etag, "wrong": wrong}
    if is_refresh:
        response = render(request, "runs/_rows.html", context)
        _remember(etag, response.content)
        return _fresh(response)
    context |= {"view_query": _view_query(request.GET, shown), "active": _active(request.GET)}
    if request.htmx and not request.htmx.history_restore_request:
        response = render(request, "runs/_listing.html", context)
        query = saved.plain(request.GET.urlencode())
        response["HX-Push-Url"] = f"{request.path}?{query}" if query else request.path
        return _fresh(response)
    return _fresh(render(request, "runs/list.html", context | _menus(filters, shown)))


@engineer
@require_POST
def choose_columns(request: PageRequest) -> HttpResponse:
    """Keep which columns this person sees and how dense; the address no longer says so."""
    columns.keep(request.session, request.POST.getlist("column"))
    density = request.POST.get("density", "")
    if density in DENSITIES:
        request.user.density = density
        request.user.save(update_fields=["density"])
    query = QueryDict(request.POST.get("query", ""), mutable=True)
    query.pop("columns", None)
    return redirect(address(query.urlencode()))


def address(query: str) -> str:
    """The list with these filters."""
    query = saved.plain(query)
    return f"{reverse(PAGE)}?{query}" if query else reverse(PAGE)


def _rows(request: PageRequest, filters: RunFilters, shown: Sequence[str]) -> dict[str, Any]:
    runs = filters.apply(Run.objects.visible_to(request.user))
    limit = _limit(request.GET)
    found, is_more = rows.rows(runs, shown, limit=limit)
    return {
        "filters": filters,
        "rows": found,
        "count": len(found) if not is_more else _count(runs),
        "most": MOST_ROWS,
        "next_shown": min(MOST_ROWS, limit * 2) if is_more and limit < MOST_ROWS else None,
        "name_heading": columns.heading_of_name(filters.sort),
        "headings": columns.headings(shown, filters.sort),
        "columns": shown,
    }


def _limit(query: QueryDict) -> int:
    wanted = number(query.get("shown", ""))
    return PAGE_SIZE if wanted is None else min(max(wanted, 1), MOST_ROWS)


def _count(runs: RunQuerySet) -> int:
    """How many there are, counted no further than a page can show."""
    return runs.order_by().values("pk")[: MOST_ROWS + 1].count()


def _etag(query: QueryDict, shown: Sequence[str]) -> str:
    asked = saved.plain(query.urlencode())
    said = f"{rows.version()} {asked} {_limit(query)} {','.join(shown)}"
    return f'"{hashlib.blake2s(said.encode(), digest_size=12).hexdigest()}"'


def _remember(etag: str, drawn: bytes) -> None:
    """Many watch the same list: who asks next gets what was drawn for the first."""
    _drawn[etag] = drawn
    while len(_drawn) > KEPT_LISTS:
        _drawn.popitem(last=False)


def _fresh(response: HttpResponse) -> HttpResponse:
    """One address has the page and its parts: neither may stand in for the other."""
    response["Cache-Control"] = "no-store"
    patch_vary_headers(response, ["HX-Request"])
    return response


def _view_query(query: QueryDict, shown: Sequence[str]) -> str:
    """The list as a view keeps it: with its columns, where they are not the usual ones."""
    kept = query.copy()
    kept.pop("columns", None)
    if tuple(shown) != columns.DEFAULT:
        kept["columns"] = ",".join(shown)
    return kept.urlencode()


def _active(query: QueryDict) -> Sequence[tuple[str, str]]:
    """Each filter in force in words, with the address that drops it alone."""
    found = []
    for name in RunFilters.model_fields:
        if name == "sort":
            continue
        for value in filter(None, query.getlist(name)):
            rest = query.copy()
            rest.setlist(name, [one for one in rest.getlist(name) if one != value])
            found.append((_words(name, value), address(rest.urlencode())))
    return found


def _words(name: str, value: str) -> str:
    if name in ("archived", "stages"):
        return {"archived": "archived", "stages": "with stages"}[name]
    return f"“{value}”" if name == "q" else f"{name} {value}"


def _menus(filters: RunFilters, shown: Sequence[str]) -> dict[str, Any]:
    """What the menus of the filters offer."""
    return {
        "kinds": JOBS,
        "statuses": STATUS_WORDS,
        "owners": User.objects.filter(role__in=[Role.ENGINEER, Role.ADMIN]).order_by("username"),
        "tags": organising.known_tags(),
        "datasets": DatasetVersion.objects.select_related("dataset").order_by("-pk")[:MENU],
        "bases": Artifact.objects.filter(kind=Artifact.Kind.BASE).order_by("-pk")[:MENU],
        "all_columns": [(column, column.name in shown) for column in columns.COLUMNS.values()],
        "densities": DENSITIES.items(),
        "is_more_open": any(
            (filters.tag, filters.dataset, filters.base, filters.after, filters.before)
        )
        or filters.stages
        or filters.archived,
    }
