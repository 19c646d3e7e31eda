"""The one task: work on a run. Its message is a doorbell; the run's row decides."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery import shared_task
from celery.signals import worker_shutting_down
from django.conf import settings
from django.db import connection

from apps.datasets.services import materialise, materialise_labels
from apps.deployments import services as deployments
from apps.runs import events, logs, services
from apps.runs.models import Run, Status
from apps.runs.operations import waiting
from apps.runs.queue import EXECUTE
from apps.tools.services import secrets_for
from kos.errors import UserError
from kos.files import no_room
from workers import devices, heartbeat, journal, tracking
from workers.away import AWAY
from workers.child import Spec
from workers.jobs import WORK
from workers.pump import Limits, Pump

logger = logging.getLogger(__name__)

# Importing the heartbeat is what sets it going: it waits for the worker to be ready.
__all__ = ["execute", "heartbeat"]

SHUTDOWN = threading.Event()


@worker_shutting_down.connect
def _shut_down(**signal: Any) -> None:
    SHUTDOWN.set()


@shared_task(name=EXECUTE, ignore_result=True)
def execute(run_id: int) -> None:
    """The bell rang for a run: claim the first of its queue and see it through.

    Nothing is done when nothing waits there: the bell rang twice, or the run was stopped.
    """
    try:
        run = waiting.claim_for(
            run_id, devices.worker_name(), lease_seconds=settings.LEASE_SECONDS
        )
    except AWAY as error:
        _let_go(error)
        return
    if run is None:
        logger.info("the bell rang for run %s, but nothing waits in its queue", run_id)
        return
    with logs.bound_to(run.pk):
        logger.info("attempt %s at %s begins", run.attempt, run.kind)
        try:
            work_on(run)
        except events.FencedOff as error:
            logger.warning("%s: its process was ended", error)
        except AWAY as error:
            _let_go(error)
        except Exception as error:
            logger.exception("attempt %s failed", run.attempt)
            _fail(run, error)


def work_on(run: Run) -> None:
    """Start the run's process and pump until it ends."""
    spec = spec_of(run)
    left_over = journal.take_over(run)
    log = spec.journal.with_suffix(".log")
    limits = Limits(lease_seconds=settings.LEASE_SECONDS)
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            cwd=settings.ROOT,
            env=devices.environment(),
            # Ctrl-C in the terminal is the worker's to hear, not the job's.
            start_new_session=True,
        )
    with tracking.of(run) as told:
        pump = Pump(
            run, process, limits=limits, shutdown=SHUTDOWN, left_over=left_over, told=told.see
        )
        assert process.stdin is not None
        # A process that is dead already has said so by its exit code.
        with suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(spec.model_dump_json().encode())
        outcome = pump.work()
        told.end(outcome.status)
    if outcome.status != Status.LOST:
        journal.clear(run)


def spec_of(run: Run) -> Spec:
    """What the process needs to know. Raises UserError when an input is not there."""
    return Spec(
        kind=run.kind,
        work=WORK[run.kind],
        config=run.config,
        inputs=inputs_of(run),
        folder=run.folder,
        seed=run.seed,
        journal=journal.path_of(run, run.attempt),
        parent=os.getpid(),
        secrets=secrets_for(run.config, run.owner),
    )


def inputs_of(run: Run) -> dict[str, Path]:
    """Where the run's inputs lie; the dataset is written out as JSONL if need be."""
    paths = {}
    for item in run.inputs.select_related("artifact"):
        paths[item.name] = item.artifact.location
        if not item.artifact.location.exists():
            raise UserError(f"{item.name} ({item.artifact}) is no longer at {item.artifact.path}")
    if run.dataset is not None:
        paths["dataset"] = materialise(run.dataset)
    if run.label_set is not None:
        paths["labels"] = materialise_labels(run.label_set)
    if run.kind in ("evaluate", "train"):
        # What the tools of a model read; the job builds it where it is missing.
        paths["corpus"] = Path(settings.CORPUS)
    return paths


def _let_go(error: Exception) -> None:
    """The database is away, which is no fault of the run's: another attempt follows.

    Nothing can be said now. The lease runs out, or the bell is rung again.
    """
    logger.warning("the database is away: %s; the run is let go", error)
    connection.close()


def _fail(run: Run, error: Exception) -> None:
    full = no_room(error, Path(settings.ARTIFACTS))
    is_user_error = isinstance(error, UserError) or bool(full)
    sentence = full or (str(error) if is_user_error else f"{type(error).__name__}: {error}")
    said = events.new(
        "failed",
        error=sentence,
        traceback="".join(traceback.format_exception(error)),
        is_user_error=is_user_error,
    )
    services.finish(
        run.pk,
        run.attempt,
        Status.FAILED,
        [said],
        error=sentence,
        also=deployments.mark_stopped,
    )
