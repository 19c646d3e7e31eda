"""The first page: what needs this person, by role. It draws on every room, so it lives here."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.db.models import Count, Prefetch, Q
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounts.guards import PageRequest, member
from apps.accounts.models import User
from apps.chat.models import Conversation
from apps.chat.starters import USE_CASES
from apps.deployments.models import Deployment
from apps.evals import reports
from apps.reviews import pages as review_pages
from apps.reviews.models import Item
from apps.runs.lists import rows as listed
from apps.runs.models import HELD, Run, Status
from apps.runs.operations import waiting, workers
from apps.runs.page import progress
from apps.traces.models import Trace, TraceFlag
from kosweb import attention, counting, house

ROWS = 6
NEWEST = """
select coalesce((select max(id) from deployments_change), 0),
       coalesce((select max(id) from traces_traceflag), 0)
"""


@member
@require_GET
def home(request: PageRequest) -> HttpResponse:
    """Cards by role. Asked again with the stamp they had, it answers 204 while nothing changed."""
    user = request.user
    if request.htmx and "house" in request.GET and user.is_admin:
        return render(request, "_house.html", {"house": house.look()})
    stamp = stamp_of(user)
    if request.htmx and request.GET.get("stamp"):
        if request.GET["stamp"] == stamp:
            return HttpResponse(status=204)
        return render(request, "_work.html", cards_for(user) | {"stamp": stamp})
    if not (user.is_engineer or user.is_reviewer):
        return render(request, "home_clinician.html", for_clinician(user))
    return render(request, "home.html", cards_for(user) | {"stamp": stamp})


def cards_for(user: User) -> dict[str, Any]:
    """What the cards of ``user`` show."""
    found: dict[str, Any] = {}
    if user.is_engineer:
        found |= for_engineer(user)
    if user.is_reviewer:
        found |= for_reviewer(user)
    return found | {"reports": scores(user), "flagged": flagged(user)}


def for_engineer(user: User) -> dict[str, Any]:
    runs = Run.objects.visible_to(user).select_related("owner").filter(pipeline=None)
    working = [*runs.filter(status__in=HELD).order_by("-started", "-pk")[:ROWS]]
    ended = [*runs.filter(status=Status.DONE).order_by("-ended")[:ROWS]]
    return {
        "attention": attention.for_engineer(user),
        "working": [(run, progress.overall(run)) for run in working],
        "queue": waiting.waiting_runs().select_related("owner")[:ROWS],
        "places": workers.places(),
        "ended": ended,
        "deployments": Deployment.objects.select_related("run", "artifact").filter(
            Q(status__in=(Deployment.Status.READY, Deployment.Status.STARTING))
        )[:ROWS],
        "disk": house.disk(),
        "is_empty": not (working or ended or runs.exists()),
    }


def for_reviewer(user: User) -> dict[str, Any]:
    """One's own queues with what is left in them, and what waits to be settled."""
    left = dict(
        counting.waiting_for(user)
        .order_by()
        .values("queue")
        .annotate(num=Count("pk", distinct=True))
        .values_list("queue", "num")
    )
    queues = [*review_pages.queues_for(user).filter(status="open")[:ROWS]]
    return {
        "queues": [(queue, left.get(queue.pk, 0)) for queue in queues],
        "num_left": sum(left.values()),
        "num_disputed": Item.objects.filter(
            queue__in=queues, status__in=(Item.Status.DISPUTED, Item.Status.PROPOSED)
        ).count(),
    }


def for_clinician(user: User) -> dict[str, Any]:
    """The composer, starters and one's own conversations: nothing that takes its time."""
    deployments = Deployment.objects.ready().select_related("artifact", "adapter", "run")
    own = Conversation.objects.visible_to(user).listed()
    return {
        "deployments": deployments,
        "chosen": deployments.first(),
        "use_cases": USE_CASES,
        "conversations": own.select_related("deployment", "pairing_left")[:8],
    }


def scores(user: User) -> list[dict[str, Any]]:
    """The latest evaluations that ended: each model's score, and how far it is from the first."""
    runs = reports.listed(reports.runs_for(user).filter(status=Status.DONE))
    return [{"run": run, "values": _with_deltas(reports.values_of(run))} for run in runs[:3]]


def _with_deltas(
    values: list[tuple[str, float | None]],
) -> list[tuple[str, float | None, float | None]]:
    first = values[0][1] if values else None
    return [
        (
            model,
            value,
            value - first if place and value is not None and first is not None else None,
        )
        for place, (model, value) in enumerate(values)
    ]


def flagged(user: User) -> list[Trace]:
    """What readers flagged and nobody looked at yet."""
    raised = Prefetch("raised", TraceFlag.objects.open(), to_attr="open_flags")
    open_flags = TraceFlag.objects.open().values("trace")[:ROWS]
    found = Trace.objects.visible_to(user).rows().filter(pk__in=open_flags)
    return [*found.prefetch_related(raised).order_by("-pk")]


def stamp_of(user: User) -> str:
    """Changes when a card of ``user`` would: ends of indexes, however much there is.

    What a run or a deployment does is said in a run's log; a change of a deployment that is not
    has a row of its own.
    """
    with connection.cursor() as cursor:
        cursor.execute(NEWEST)
        newest = cursor.fetchone()
    parts = [*newest, counting.counts_for(user)["reviews"]]
    return ".".join([listed.version(), *map(str, parts)])
