"""What web processes count: Prometheus' numbers, shared by all of this host over files.

Imported by the web process alone and only once it serves: prometheus_client decides at import
whether processes share their numbers, and vLLM, which a worker starts, looks at the same
variable. Numbers that stand in the database are not counted here (``kosweb.metrics``).
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from django.conf import settings

from apps.accounts.numerals import number

FOLDER: Path = settings.VAR / "metrics" / socket.gethostname()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _owner(file: Path) -> int:
    """The process that wrote ``file``; files are called ``counter_123.db``."""
    return number(file.stem.rpartition("_")[2]) or 0


def sweep(folder: Path = FOLDER) -> None:
    """Begin anew when every process that counted here is gone, as after a restart."""
    files = [*folder.glob("*.db")]
    if not any(_is_alive(_owner(file)) for file in files):
        for file in files:
            file.unlink(missing_ok=True)


def forget_gauges(folder: Path = FOLDER) -> None:
    """Drop what ended processes had open; what they counted stays counted."""
    for file in folder.glob("gauge_live*.db"):
        if not _is_alive(_owner(file)):
            file.unlink(missing_ok=True)


FOLDER.mkdir(parents=True, exist_ok=True)
sweep()
os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(FOLDER))

# The variable above must stand before what follows.
from prometheus_client import Counter, Gauge, Histogram, values  # noqa: E402

# Whoever imported the library first decided without it.
values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

HTTP_SECONDS = Histogram(
    "kos_http_request_seconds",
    "Time until a reply begins, by route",
    ["method", "route"],
    buckets=SECONDS,
)
HTTP_REQUESTS = Counter(
    "kos_http_requests", "Replies by route and status", ["method", "route", "status"]
)
SOCKETS = Gauge(
    "kos_sockets_open", "WebSockets that are open", ["kind"], multiprocess_mode="livesum"
)
POOL = Gauge(
    "kos_database_pool",
    "Connections of the pools: size, available, requests that wait for one now, that have waited "
    "since the start, and for how long together (waited_ms)",
    ["state"],
    multiprocess_mode="livesum",
)
