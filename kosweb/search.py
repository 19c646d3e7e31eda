"""Search over every room: the palette's results, and the page of the same for those without it.

Each room finds its own (``finding.find``); a room that takes too long is left out and said so.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from django.db import OperationalError, connection, transaction
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.accounts import finding as people
from apps.accounts.guards import PageRequest, member
from apps.accounts.hits import Finder, Hit
from apps.accounts.models import User
from apps.chat import finding as chats
from apps.datasets import finding as datasets
from apps.deployments import finding as deployments
from apps.evals import finding as evals
from apps.reviews import finding as reviews
from apps.runs import finding as runs
from apps.tools import finding as tools
from apps.traces import finding as traces
from kosweb import places

FINDERS: dict[str, Finder] = {
    "runs and models": runs.find,
    "deployments": deployments.find,
    "datasets": datasets.find,
    "evaluations": evals.find,
    "chats": chats.find,
    "queues": reviews.find,
    "tools": tools.find,
    "members": people.find,
    "traces": traces.find,
}
PER_KIND = 5
ON_PAGE = 20
BUDGET_SECONDS = 0.25
# The page of all finds may think a little longer than the palette, which runs on every key.
PAGE_SECONDS = 1.5
LONGEST = 100


class Found(NamedTuple):
    """Finds by kind, and the rooms that took too long."""

    groups: list[tuple[str, list[Hit]]]
    late: list[str]


@member
@require_safe
def search(request: PageRequest) -> HttpResponse:
    words = " ".join(request.GET.get("q", "").replace("\0", "").split())[:LONGEST]
    if request.htmx:
        found = find(request.user, words)
        return render(request, "_found.html", {"found": found, "words": words})
    found = find(request.user, words, limit=ON_PAGE, seconds=PAGE_SECONDS)
    return render(request, "search.html", {"found": found, "words": words})


def find(
    user: User, words: str, *, limit: int = PER_KIND, seconds: float = BUDGET_SECONDS
) -> Found:
    """What ``user`` may see of ``words``; without words the actions and pages there are."""
    if not words:
        return Found(_grouped(places.pages_for(user) + places.actions_for(user)), [])
    hits = places.pages_for(user, words)[:limit] + places.actions_for(user, words)[:limit]
    late = []
    end = time.monotonic() + seconds
    with transaction.atomic():
        for room, finder in FINDERS.items():
            try:
                with transaction.atomic():
                    _allow(end - time.monotonic())
                    hits += finder(user, words, limit)
            except OperationalError:
                # The database gave up on this room's question: the others' finds still stand.
                late.append(room)
        _set_timeout(0)
    return Found(_grouped(hits), late)


def _allow(seconds: float) -> None:
    """Let the next question take so long; OperationalError when no time is left."""
    if seconds <= 0:
        raise OperationalError("no time is left")
    _set_timeout(max(1, int(seconds * 1000)))


def _set_timeout(millis: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("select set_config('statement_timeout', %s, true)", [str(millis)])


def _grouped(hits: Sequence[Hit]) -> list[tuple[str, list[Hit]]]:
    return [(kind, [*group]) for kind, group in groupby(hits, key=lambda hit: hit.kind)]
