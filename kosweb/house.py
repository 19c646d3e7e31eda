"""How the house itself does: this machine, its disk, and for admins everything it stands on."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import psutil
from celery import current_app
from django.conf import settings
from django.core.cache import cache
from django.db import Error, connection
from django.db.models import Count, Q, Sum
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from kombu.exceptions import OperationalError

from apps.accounts.models import SECURITY, AuditEntry, Role, User
from apps.deployments.models import Usage
from apps.runs.artifacts import stock
from apps.runs.hub import hub
from apps.runs.operations import workers

KEPT_SECONDS = 15
BROKER_SECONDS = 2
MONTH = timedelta(days=30)
LATEST = 8


class Disk(NamedTuple):
    """The disk of the artifacts; sizes in words."""

    percent: int
    free: str
    total: str


class Machine(NamedTuple):
    """The machine of the web process, which is also a worker's on one machine."""

    cores: int
    load: float
    memory_percent: int
    memory: str
    disk: Disk

    @property
    def load_percent(self) -> int:
        return min(100, round(100 * self.load / self.cores))


class Check(NamedTuple):
    """One thing the house stands on, as it was just found."""

    name: str
    is_ok: bool
    said: str


def disk() -> Disk:
    folder = settings.ARTIFACTS if settings.ARTIFACTS.exists() else settings.VAR
    usage = shutil.disk_usage(folder)
    percent = round(100 * (usage.total - usage.free) / usage.total)
    return Disk(percent, filesizeformat(usage.free), filesizeformat(usage.total))


def machine() -> Machine:
    memory = psutil.virtual_memory()
    return Machine(
        cores=settings.CORES,
        load=os.getloadavg()[0],
        memory_percent=round(memory.percent),
        memory=f"{filesizeformat(memory.total - memory.available)} of {filesizeformat(memory.total)}",
        disk=disk(),
    )


def look() -> dict[str, Any]:
    """All that the admin's cards show; what takes long is kept a moment."""
    kept: Any = cache.get_or_set("house", _look, KEPT_SECONDS)
    assert isinstance(kept, dict), kept
    latest = AuditEntry.objects.filter(verb__in=SECURITY)[:LATEST]
    return kept | {"security": latest, "machine": machine()}


def _look() -> dict[str, Any]:
    return {
        "checks": [_timed("Database", _database), _timed("Broker", _broker), _workers(), _hub()],
        "people": people(),
        "storage": stock.storage(),
        "used": used(),
    }


def _timed(name: str, ask: Callable[[], str]) -> Check:
    begun = time.perf_counter()
    try:
        said = ask()
    except (Error, OperationalError, OSError) as error:
        return Check(name, False, str(error)[:120] or type(error).__name__)
    return Check(name, True, f"{said}, {(time.perf_counter() - begun) * 1000:.0f} ms")


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("select pg_database_size(current_database())")
        (size,) = cursor.fetchone()
    return filesizeformat(size)


def _broker() -> str:
    with current_app.connection_for_read() as broker:
        broker.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
    return "answers"


def _workers() -> Check:
    """As they report: asking each of them would make the page wait for the slowest."""
    known = workers.all_held()
    silent = [held.worker.name for held in known if held.silent is not None]
    busy = sum(bool(held.runs) for held in known)
    if silent:
        return Check("Workers", False, f"{', '.join(silent)} fell silent")
    if not known:
        return Check("Workers", False, "none reports: nothing will start")
    return Check("Workers", True, f"{len(known)} report, {busy} at work")


def _hub() -> Check:
    watched = len(hub.topics)
    sockets = sum(topic.num_sockets for topic in hub.topics.values())
    return Check("Live events", True, f"{watched} runs watched by {sockets} pages of this process")


def people() -> list[tuple[str, int]]:
    """How many accounts each role has, and how many are locked."""
    rows = User.objects.filter(is_active=True).order_by().values("role").annotate(num=Count("pk"))
    found = {row["role"]: row["num"] for row in rows}
    return [(label, found.get(role, 0)) for role, label in Role.choices]


def used() -> list[dict[str, Any]]:
    """What each deployment answered in the last month: the cost in tokens and in seconds."""
    rows = Usage.objects.filter(created__gte=timezone.now() - MONTH).order_by()
    told: Any = (
        rows.values("deployment__name")
        .annotate(
            answers=Count("pk"),
            failed=Count("pk", filter=Q(status=Usage.Status.FAILED)),
            read=Sum("prompt_tokens"),
            written=Sum("completion_tokens"),
            hours=Sum("seconds") / 3600,
        )
        .order_by("-written")[:8]
    )
    return [*told]
