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

from apps.datasets.services import materialise, materialise_labels
from apps.deployments import services as deployments
from apps.runs import events, logs, services
from apps.runs.models import Run, Status
from apps.runs.queue import EXECUTE
from apps.tools.services import secrets_for
from kos.errors import UserError
from workers import devices, journal
from workers.child import Spec
from workers.jobs import WORK
from workers.pump import Limits, Pump

logger = logging.getLogger(__name__)

SHUTDOWN = threading.Event()


@worker_shutting_down.connect
def _shut_down(**signal: Any) -> None:
    SHUTDOWN.set()


@shared_task(name=EXECUTE, ignore_result=True)
def execute(run_id: int) -> None:
    """Claim the run and see it through; do nothing if another worker has it."""
    with logs.bound_to(run_id):
        run = services.claim(run_id, devices.worker_name(), lease_seconds=settings.LEASE_SECONDS)
        if run is None:
            logger.info("nothing to claim: the bell rang twice, or the run was stopped")
            return
        logger.info("attempt %s at %s begins", run.attempt, run.kind)
        try:
            work_on(run)
        except events.FencedOff as error:
            logger.warning("%s: its process was ended", error)
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
    pump = Pump(run, process, limits=limits, shutdown=SHUTDOWN, left_over=left_over)
    assert process.stdin is not None
    # A process that is dead already has said so by its exit code.
    with suppress(BrokenPipeError), process.stdin as pipe:
        pipe.write(spec.model_dump_json().encode())
    if pump.work().status != Status.LOST:
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


def _fail(run: Run, error: Exception) -> None:
    is_user_error = isinstance(error, UserError)
    sentence = str(error) if is_user_error else f"{type(error).__name__}: {error}"
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
