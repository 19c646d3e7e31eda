"""Says every few seconds that this worker lives, and how busy its machine is.

A thread of the worker's own process: a job that takes hours is minded by another one, and a
job that crashes takes neither with it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

import psutil
from celery.signals import worker_ready, worker_shutting_down
from django.db import connection

from apps.runs.models import Worker
from apps.runs.operations import workers
from workers import devices, machine
from workers.away import AWAY

logger = logging.getLogger(__name__)


class Heart:
    """Beats until it is stopped; then the worker's row goes, too."""

    def __init__(self, queues: list[str], slots: int) -> None:
        self.queues = queues
        self.slots = slots
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.work, name="heartbeat", daemon=True)

    def work(self) -> None:
        try:
            while not self.ended.is_set():
                _kept(self.beat)
                self.ended.wait(workers.BEAT_SECONDS)
            _kept(lambda: workers.leave(devices.worker_name()))
        finally:
            connection.close()

    def beat(self) -> None:
        """One beat, and what it finds of the machine if it is this worker's turn to look."""
        host = devices.host()
        workers.beat(
            devices.worker_name(),
            host=host,
            pid=os.getpid(),
            queues=self.queues,
            device=devices.name(),
            slots=self.slots,
        )
        if workers.measure(host, machine.look):
            clear_dead(host)


def clear_dead(host: str) -> None:
    """Clear away this machine's workers that were killed before they could take their leave."""
    for worker in Worker.objects.filter(host=host):
        if not psutil.pid_exists(worker.pid):
            workers.leave(worker.name)


def _kept(write: Callable[[], object]) -> None:
    """``write()``; while the database is away nothing is lost but a beat."""
    try:
        write()
    except AWAY as error:
        logger.warning("no heartbeat: the database is away: %s", error)
        connection.close()


_hearts: list[Heart] = []


@worker_ready.connect
def _begin(sender: Any, **signal: Any) -> None:
    """``sender`` is Celery's consumer: it knows the queues, and how many jobs are taken at once."""
    heart = Heart(sorted(sender.app.amqp.queues.consume_from), sender.controller.concurrency)
    _hearts.append(heart)
    heart.thread.start()


@worker_shutting_down.connect
def _end(**signal: Any) -> None:
    # A signal handler runs this: it must not wait.
    for heart in _hearts:
        heart.ended.set()
