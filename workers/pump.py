"""Carries a job's events from its process into the database, and the wish to stop back.

Every append renews the lease, so the loop is also the heartbeat. Database errors are retried
for the length of the lease: a restart of PostgreSQL costs no run its attempt.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import IO, NamedTuple, TypeVar

from django.db import InterfaceError, OperationalError, connection

from apps.runs import events, services
from apps.runs.models import Event, Run, Status
from workers import child
from workers.lines import Line, parse
from workers.reporter import Reporter

logger = logging.getLogger(__name__)
T = TypeVar("T")

FLUSH_SECONDS = 0.05
FLUSH_EVENTS = 500
QUEUE_LINES = 20_000  # beyond that the job waits for us
HEARTBEAT_SECONDS = 2.0  # at most: a silent job, too, hears of a stop soon
RETRY_SECONDS = 0.5


@dataclass(frozen=True)
class Limits:
    lease_seconds: float
    grace_seconds: float = 30.0  # from SIGTERM to SIGKILL
    wall_seconds: float | None = None


class Reason(Enum):
    """Why the pump ended the process."""

    STOP = "it was stopped"
    SHUTDOWN = "its worker shuts down"
    WALL = "it ran past its time limit"


class Outcome(NamedTuple):
    status: Status
    error: str = ""


class Pump:
    """Minds one process of one attempt, from its first line to its end.

    The process leads a session of its own, so that all it started can be killed with it.
    """

    def __init__(
        self,
        run: Run,
        process: subprocess.Popen[bytes],
        *,
        limits: Limits,
        shutdown: threading.Event,
        left_over: Sequence[bytes] = (),
    ) -> None:
        assert process.stdout is not None
        self.run = run
        self.process = process
        self.limits = limits
        self.shutdown = shutdown
        self.reporter = Reporter(run)
        self._queue: queue.Queue[bytes | None] = queue.Queue(QUEUE_LINES)
        self._lines: list[Line] = []
        self._last_seq = run.last_seq
        self._reason: Reason | None = None
        self._failure: Line | None = None
        now = time.monotonic()
        self._beat_at = now
        self._kill_at = float("inf")
        self._wall_at = now + (limits.wall_seconds or float("inf"))
        reads = (left_over, process.stdout, self._queue)
        self._reader = threading.Thread(target=_read, args=reads, daemon=True)
        self._reader.start()

    def work(self) -> Outcome:
        """Until the process has ended and its last words are kept. Raises FencedOff."""
        try:
            while self._gather():
                if self._lines or time.monotonic() >= self._beat_at:
                    self._flush()
                self._mind()
            outcome = self._outcome(self._wait())
            self._finish(outcome)
            return outcome
        finally:
            self._kill()
            self.process.wait()
            while self._reader.is_alive():
                # It may be waiting to hand over lines that nobody wants any more.
                with suppress(queue.Empty):
                    self._queue.get(timeout=FLUSH_SECONDS)

    def _gather(self) -> bool:
        """Take lines for a moment; False once the pipe is at its end."""
        deadline = time.monotonic() + FLUSH_SECONDS
        while len(self._lines) < FLUSH_EVENTS:
            try:
                text = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if text is None:
                return False
            line = parse(text)
            self._failure = line if line.kind == "failed" else self._failure
            self._lines.append(line)
        return True

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        said = self.reporter.entries(lines)
        answer = self._surely(
            said,
            lambda: events.append(
                self.run.pk,
                self.run.attempt,
                said,
                lease_seconds=self.limits.lease_seconds,
                also=lambda run: self.reporter.keep(run, lines),
            ),
        )
        if answer is not None:
            self._last_seq = answer.last_seq
            if answer.is_stop_requested:
                self._end(Reason.STOP)
        self._beat_at = time.monotonic() + min(self.limits.lease_seconds / 3, HEARTBEAT_SECONDS)

    def _mind(self) -> None:
        now = time.monotonic()
        if self.shutdown.is_set():
            self._end(Reason.SHUTDOWN)
        if now >= self._wall_at:
            self._end(Reason.WALL)
        # What the process leaves behind would hold the pipe open.
        if now >= self._kill_at or self.process.poll() is not None:
            self._kill()

    def _kill(self) -> None:
        """Kill the process and whatever it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def _end(self, reason: Reason) -> None:
        if self._reason is None:
            self._reason = reason
            self._kill_at = time.monotonic() + self.limits.grace_seconds
            self.process.terminate()

    def _wait(self) -> int:
        """The exit code; a process that hangs after its last word is killed."""
        try:
            return self.process.wait(timeout=self.limits.lease_seconds / 2)
        except subprocess.TimeoutExpired:
            self._kill()
            return self.process.wait()

    def _finish(self, outcome: Outcome) -> None:
        lines = self._lines
        said = self.reporter.entries(lines)
        if outcome.status == Status.LOST:
            said.append(_lost(self.run, outcome.error))
        self._surely(
            said,
            lambda: services.finish(
                self.run.pk,
                self.run.attempt,
                outcome.status,
                said,
                error=outcome.error,
                also=lambda run: self.reporter.keep(run, lines, is_last=True),
            ),
        )
        logger.info("attempt %s ended: %s %s", self.run.attempt, *outcome)

    def _outcome(self, code: int) -> Outcome:
        if self._failure is not None:
            return Outcome(Status.FAILED, self._failure.data["error"])
        # A server has no end of its own: one that leaves politely was still stopped.
        is_server = self.run.settings.queue == "serve"
        if code == child.DONE and not (is_server and self._reason):
            return Outcome(Status.DONE)
        match self._reason:
            case Reason.STOP:
                return Outcome(Status.CANCELLED)
            case Reason.SHUTDOWN:
                return Outcome(Status.QUEUED)
            case Reason.WALL:
                seconds = self.limits.wall_seconds
                return Outcome(Status.FAILED, f"it ran past its limit of {seconds} seconds")
        if code < 0:
            return Outcome(Status.LOST, _death(-code))
        return Outcome(Status.FAILED, f"its process ended with code {code}; its log says more")

    def _surely(self, said: list[events.NewEvent], keep: Callable[[], T]) -> T | None:
        """``keep()``, again and again while the database is away; None if it was in already."""
        deadline = time.monotonic() + self.limits.lease_seconds
        while True:
            try:
                return keep()
            except (OperationalError, InterfaceError) as error:
                if time.monotonic() > deadline:
                    raise
                logger.warning("the database is away: %s; trying again", error)
                if self._was_kept(said):
                    return None

    def _was_kept(self, said: list[events.NewEvent]) -> bool:
        """Whether a transaction whose connection broke had gone through after all."""
        connection.close()
        time.sleep(RETRY_SECONDS)
        if not said:
            return False
        try:
            return Event.objects.filter(
                run=self.run,
                attempt=self.run.attempt,
                seq__gt=self._last_seq,
                kind=said[0].kind,
                at=said[0].at,
            ).exists()
        except (OperationalError, InterfaceError):
            return False


def _read(left_over: Sequence[bytes], pipe: IO[bytes], lines: queue.Queue[bytes | None]) -> None:
    with pipe:
        for line in left_over:
            lines.put(line)
        for line in pipe:
            # A killed process may leave half a line.
            if line.endswith(b"\n"):
                lines.put(line)
    lines.put(None)


def _lost(run: Run, reason: str) -> events.NewEvent:
    data = {"attempt": run.attempt, "worker": run.worker, "reason": reason}
    return events.new("lost", **data)


def _death(number: int) -> str:
    name = signal.Signals(number).name
    hint = " (often: out of memory)" if number == signal.SIGKILL else ""
    return f"its process was killed by {name}{hint}"
