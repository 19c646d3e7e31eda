"""``/metrics`` for Prometheus: what web processes counted, and what stands in the database.

What the database knows is read when it is asked for, so it is right over any number of web
processes, workers and machines; it is read at most every ``KEPT_SECONDS``.
"""

from __future__ import annotations

import ipaddress
import secrets
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.db.models import Count, Max, Min, Q, Sum
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from apps.accounts.brakes import TooManyTriesError
from apps.accounts.models import Scope, User
from apps.accounts.services import user_of_token
from apps.automation.models import Delivery
from apps.deployments.models import Usage
from apps.runs.models import Run, Status
from kos.config import JOBS
from kosweb.problems import problem

KEPT_SECONDS = 5.0
# Usage is written a moment after an answer; what is younger is counted the next time.
SETTLED = timedelta(seconds=10)
WAITING = (Status.QUEUED, Status.LOST)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The page of numbers, in Prometheus' text form."""
    if not may_read(request):
        return problem(
            403, "Metrics are for this machine, for admins, and for the token KOS_METRICS_TOKEN."
        )
    # Only here: see kosweb.meters.
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    from kosweb import meters

    meters.forget_gauges()
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(meters.FOLDER))  # type: ignore[no-untyped-call]
    text = generate_latest(registry).decode() + "".join(lines(KEPT.read()))
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)


def may_read(request: HttpRequest) -> bool:
    """This machine itself, an admin, or whoever has the token of the settings.

    A proxy on this machine would make everybody local, so what came through one is not.
    """
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and given:
        wanted = settings.METRICS_TOKEN
        if wanted and secrets.compare_digest(given.encode(), wanted.encode()):
            return True
        try:
            owner = user_of_token(given, Scope.ALL, address=request.META.get("REMOTE_ADDR", ""))
        except TooManyTriesError:
            return False
        return owner is not None and owner.is_admin
    if isinstance(request.user, User) and request.user.is_admin:
        return True
    is_direct = not {"X-Forwarded-For", "Forwarded", "X-Real-IP"} & set(request.headers)
    return is_direct and _is_local(request.META.get("REMOTE_ADDR", ""))


def _is_local(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


@dataclass
class Numbers:
    """What the database knows. ``used`` is by deployment and status: answers, tokens in, out."""

    runs: dict[tuple[str, str], int] = field(default_factory=dict)
    queued: dict[str, int] = field(default_factory=dict)
    oldest: dict[str, float] = field(default_factory=dict)
    num_events: int = 0
    used: dict[tuple[str, str], tuple[int, int, int]] = field(default_factory=dict)
    deliveries: dict[str, int] = field(default_factory=dict)


class Reader:
    """Reads the numbers, keeping them a moment. Usage only grows: the sum so far is kept."""

    def __init__(self) -> None:
        self._read_at = 0.0
        self._numbers = Numbers()
        self._last_usage = 0
        self._used: dict[tuple[str, str], tuple[int, int, int]] = {}

    def read(self) -> Numbers:
        if not self._read_at or time.monotonic() - self._read_at > KEPT_SECONDS:
            self._numbers = self._ask()
            self._read_at = time.monotonic()
        return self._numbers

    def forget(self) -> None:
        self.__init__()  # type: ignore[misc]

    def _ask(self) -> Numbers:
        found = Numbers(used=self._usage(), deliveries=_deliveries())
        rows = Run.objects.order_by().values("kind", "status")
        for row in rows.annotate(
            num=Count("pk"), num_events=Sum("last_seq"), first=Min("created")
        ):
            found.runs[row["kind"], row["status"]] = row["num"]
            found.num_events += row["num_events"] or 0
            if row["status"] in WAITING and row["kind"] != "pipeline" and row["kind"] in JOBS:
                queue = JOBS[row["kind"]].queue
                waits = (timezone.now() - row["first"]).total_seconds()
                found.queued[queue] = found.queued.get(queue, 0) + row["num"]
                found.oldest[queue] = max(found.oldest.get(queue, 0.0), waits)
        # A queue in which nothing waits says so: an alert must see it end.
        for name in settings.QUEUES:
            found.queued.setdefault(name, 0)
            found.oldest.setdefault(name, 0.0)
        return found

    def _usage(self) -> dict[tuple[str, str], tuple[int, int, int]]:
        settled = Q(created__lt=timezone.now() - SETTLED)
        fresh = Usage.objects.filter(settled, pk__gt=self._last_usage).order_by()
        told = fresh.values("deployment", "deployment__name", "status").annotate(
            answers=Count("pk"),
            read=Sum("prompt_tokens"),
            written=Sum("completion_tokens"),
            last=Max("pk"),
        )
        used = defaultdict(lambda: (0, 0, 0), self._used)
        for row in told:
            key = (f"{row['deployment__name'] or 'gone'}@{row['deployment'] or 0}", row["status"])
            answers, read, written = used[key]
            used[key] = (
                answers + row["answers"],
                read + (row["read"] or 0),
                written + (row["written"] or 0),
            )
            self._last_usage = max(self._last_usage, row["last"])
        self._used = dict(used)
        return self._used


KEPT = Reader()


def _deliveries() -> dict[str, int]:
    rows = Delivery.objects.order_by().values("status").annotate(num=Count("pk"))
    found = {row["status"]: row["num"] for row in rows}
    return {status: found.get(status, 0) for status in Delivery.Status.values}


def lines(found: Numbers) -> Iterator[str]:
    """The database's numbers as Prometheus reads them."""
    yield from _family("kos_runs", "gauge", "Runs by kind and status")
    for (kind, status), num in found.runs.items():
        yield _line("kos_runs", num, kind=kind, status=status)
    yield from _family("kos_queue_runs", "gauge", "Runs that wait for a worker")
    for queue, num in found.queued.items():
        yield _line("kos_queue_runs", num, queue=queue)
    yield from _family("kos_queue_oldest_seconds", "gauge", "How long the oldest of them waits")
    for queue, seconds in found.oldest.items():
        yield _line("kos_queue_oldest_seconds", round(seconds, 3), queue=queue)
    yield from _family("kos_run_events_total", "counter", "Events that runs said")
    yield _line("kos_run_events_total", found.num_events)
    yield from _family("kos_answers_total", "counter", "Generations of deployments by outcome")
    for (name, status), (answers, _read, _written) in found.used.items():
        yield _line("kos_answers_total", answers, deployment=name, status=status)
    yield from _family("kos_tokens_total", "counter", "Tokens that deployments read and wrote")
    for name, way, num in _tokens(found):
        yield _line("kos_tokens_total", num, deployment=name, direction=way)
    yield from _family("kos_webhook_deliveries", "gauge", "Deliveries of webhooks by outcome")
    for status, num in found.deliveries.items():
        yield _line("kos_webhook_deliveries", num, status=status)


def _tokens(found: Numbers) -> Iterator[tuple[str, str, int]]:
    sums: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for (name, _status), (_answers, read, written) in found.used.items():
        sums[name] = (sums[name][0] + read, sums[name][1] + written)
    for name, (read, written) in sums.items():
        yield name, "read", read
        yield name, "written", written


def _family(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


def _line(name: str, value: float, **labels: str) -> str:
    if not labels:
        return f"{name} {value}\n"
    told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{told}}} {value}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
