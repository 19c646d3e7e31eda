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
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import IO, NamedTuple, TypeVar

from django.db import connection

from apps.runs import events, services
from apps.runs.models import Event, Run, Status
from workers import child
from workers.away import AWAY
from workers.lines import Line, parse
from workers.reporter import Reporter

logger = logging.getLogger(__name__)
T = TypeVar("T")

FLUSH_SECONDS = 0.05
FLUSH_EVENTS = 500
FLUSH_BYTES = 4 << 20
# Beyond either the job waits for us.
QUEUE_LINES = 20_000
QUEUE_BYTES = 32 << 20
# A line that is longer than the queue ends the run: to read it would take the memory of all.
LINE_BYTES = QUEUE_BYTES
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
    LINE = "it said a line that is too long"


class Outcome(NamedTuple):
    status: Status
    error: str = ""


class Waiting:
    """Lines that wait to be kept, bounded in number and in bytes; None is the end.

    One line is always taken, however long, so that whoever puts it never waits for ever.
    """

    def __init__(self) -> None:
        self._lines: deque[bytes | None] = deque()
        self._changed = threading.Condition()
        self.size_bytes = 0

    def put(self, line: bytes | None) -> None:
        """Add a line; waits while there are too many."""
        with self._changed:
            self._changed.wait_for(self._has_room)
            self._lines.append(line)
            self.size_bytes += len(line or b"")
            self._changed.notify_all()

    def get(self, *, timeout_seconds: float) -> bytes | None:
        """The oldest line. Raises queue.Empty when none comes in time."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._lines, timeout_seconds):
                raise queue.Empty
            line = self._lines.popleft()
            self.size_bytes -= len(line or b"")
            self._changed.notify_all()
            return line

    def __len__(self) -> int:
        return len(self._lines)

    def _has_room(self) -> bool:
        return len(self._lines) < QUEUE_LINES and self.size_bytes < QUEUE_BYTES


class Pump:
    """Minds one process of one attempt, from its first line to its end.

    The process leads a session of its own, so that all it started can be killed with it.
    ``told`` gets the lines that are in the log, and must not hold us up.
    """

    def __init__(
        self,
        run: Run,
        process: subprocess.Popen[bytes],
        *,
        limits: Limits,
        shutdown: threading.Event,
        left_over: Sequence[bytes] = (),
        told: Callable[[Sequence[Line]], None] = lambda lines: None,
    ) -> None:
        assert process.stdout is not None
        self.run = run
        self.process = process
        self.limits = limits
        self.shutdown = shutdown
        self.reporter = Reporter(run)
        self.told = told
        self._queue = Waiting()
        self._lines: list[Line] = []
        self._last_seq = run.last_seq
        self._reason: Reason | None = None
        self._failure: Line | None = None
        self._is_done = False
        now = time.monotonic()
        self._beat_at = now
        self._renewed_at = now
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
                    self._queue.get(timeout_seconds=FLUSH_SECONDS)

    def _gather(self) -> bool:
        """Take lines for a moment; False once the job is done or the pipe is at its end."""
        deadline = time.monotonic() + FLUSH_SECONDS
        num_bytes = 0
        while len(self._lines) < FLUSH_EVENTS and num_bytes < FLUSH_BYTES:
            try:
                text = self._queue.get(timeout_seconds=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if text is None:
                return False
            if len(text) > LINE_BYTES:
                self._end(Reason.LINE)
                break
            num_bytes += len(text)
            line = parse(text)
            self._failure = line if line.kind == "failed" else self._failure
            if line.kind == "done":
                self._is_done = True
                return False
            self._lines.append(line)
        return True

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        said = self.reporter.entries(lines)
        began = time.monotonic()
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
            self._renewed_at = began
            if answer.is_stop_requested:
                self._end(Reason.STOP)
        self.told(lines)
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
        """The exit code; a process that lingers after its last word is killed."""
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
        self.told(lines)
        logger.info("attempt %s ended: %s %s", self.run.attempt, *outcome)

    def _outcome(self, code: int) -> Outcome:
        if self._failure is not None:
            return Outcome(Status.FAILED, self._failure.data["error"])
        if self._reason is Reason.LINE:
            said = f"it said more than {LINE_BYTES:,} bytes in one line; keep that in a file"
            return Outcome(Status.FAILED, said)
        # A server has no end of its own: one that leaves politely was still stopped.
        is_server = self.run.settings.queue == "serve"
        if (self._is_done or code == child.DONE) and not (is_server and self._reason):
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
        """``keep()``, while the lease lasts and the database is away; None if it was in already."""
        # Whoever takes the run over must not find our process at work.
        deadline = self._renewed_at + self.limits.lease_seconds
        while True:
            try:
                return keep()
            except AWAY as error:
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
        except AWAY:
            return False


def _read(left_over: Sequence[bytes], pipe: IO[bytes], lines: Waiting) -> None:
    with pipe:
        for line in left_over:
            lines.put(line)
        while line := pipe.readline(LINE_BYTES + 1):
            # A killed process may leave half a line.
            if line.endswith(b"\n") or len(line) > LINE_BYTES:
                lines.put(line)
            while line and not line.endswith(b"\n"):
                line = pipe.readline(LINE_BYTES)  # the rest of one that is too long
    lines.put(None)


def _lost(run: Run, reason: str) -> events.NewEvent:
    data = {"attempt": run.attempt, "worker": run.worker, "reason": reason}
    return events.new("lost", **data)


def _death(number: int) -> str:
    name = signal.Signals(number).name
    hint = " (often: out of memory)" if number == signal.SIGKILL else ""
    return f"its process was killed by {name}{hint}"
