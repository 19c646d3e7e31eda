"""Work that takes longer than a page may wait: a process of its own, whose progress is shown.

Short work is done at once, in the request. The process is ``manage.py dataset_work``; it says
how far it is over a second connection, since what it writes is one transaction.
"""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.datasets.models import DatasetVersion, Work
from kos.errors import UserError

Told = Callable[[int, int], None]
Do = Callable[[Work, Told], dict[str, Any]]
SAID_EVERY_SECONDS = 0.5
SILENT = timedelta(seconds=60)

_children: list[subprocess.Popen[bytes]] = []


def start(
    kind: Work.Kind,
    do: Do,
    *,
    by: User | None,
    told: dict[str, Any] | None = None,
    version: DatasetVersion | None = None,
    is_long: bool = False,
) -> Work:
    """Begin the work; short work is done when this returns, and its UserError is raised."""
    work = Work.objects.create(kind=kind, by=by, told=told or {}, version=version)
    if is_long:
        transaction.on_commit(lambda: spawn(work))
    else:
        carry_out(work, do)
        if work.status == Work.Status.FAILED:
            raise UserError(work.error)
    return work


def carry_out(work: Work, do: Do, told: Told = lambda done, total: None) -> None:
    """Do the work and keep how it ended. Nothing of it stays when it fails."""
    claimed = Work.objects.filter(pk=work.pk, status=Work.Status.WAITING)
    if not claimed.update(status=Work.Status.RUNNING, touched=timezone.now()):
        return
    try:
        with transaction.atomic():
            work.result = do(work, told)
        work.status = Work.Status.DONE
    except UserError as error:
        work.status, work.error = Work.Status.FAILED, str(error)
    work.save(update_fields=["status", "result", "error", "touched"])


def spawn(work: Work) -> None:
    """Start the process."""
    _children[:] = [child for child in _children if child.poll() is None]
    command = [sys.executable, str(settings.ROOT / "manage.py"), "dataset_work", str(work.pk)]
    child = subprocess.Popen(
        command,
        cwd=settings.ROOT,
        stdin=subprocess.DEVNULL,
        # It lives on when the web process is started anew.
        start_new_session=True,
    )
    _children.append(child)


class Report:
    """Writes how far a work is, outside its transaction."""

    def __init__(self, work: Work) -> None:
        self.pk = work.pk
        self.said_at = -math.inf
        self.connection = connection.copy()

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() - self.said_at < SAID_EVERY_SECONDS:
            return
        self.said_at = time.monotonic()
        with self.connection.cursor() as cursor:
            cursor.execute(
                "UPDATE datasets_work SET num_done = %s, num_total = %s, touched = now()"
                " WHERE id = %s",
                [done, total, self.pk],
            )

    def close(self) -> None:
        self.connection.close()


def latest(version: DatasetVersion, kind: Work.Kind) -> Work | None:
    """The newest work of a kind on a version."""
    return version.work.filter(kind=kind).first()


def is_silent(work: Work) -> bool:
    """Whether its process has not been heard for a minute."""
    is_open = work.status in (Work.Status.WAITING, Work.Status.RUNNING)
    return is_open and timezone.now() - work.touched > SILENT
