"""Feeds a run's numbers to the trackers that the settings name (``KOS_TRACKERS``).

Each tracker has a thread and a bounded queue of its own, so that one which is slow, wrong or
absent holds up neither the run nor another tracker. It is said once in the run's log; what
could not be sent is counted. What the tracker calls the run lies in the run's folder: an
attempt that takes the run up again goes on in the same one.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Self

from celery.signals import worker_shutdown
from django.conf import settings
from django.db import DatabaseError, connection, transaction

from apps.runs import events, logs
from apps.runs.models import Run, Status
from kos import trackers
from kos.errors import UserError
from kos.events import Result, StepDone
from kos.files import replace_when_whole
from kos.trackers import Link, Start, Tracker, safe
from kos.trackers.base import Ending
from workers.lines import Line

logger = logging.getLogger(__name__)

STEPS = 5_000  # that may wait for a tracker; later ones are counted as lost
FAILURES = 5  # in a row, then an attempt's tracker is left alone
FIRST_WAIT_SECONDS = 1.0  # after a failure, doubled each time
LAST_SECONDS = 60.0  # that a tracker may take once the attempt is over
LEAVE_SECONDS = 10.0  # that a worker which shuts down waits for them all
ENDINGS: Mapping[str, Ending] = {
    Status.DONE: "done",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
}
_live: set[Feed] = set()


@dataclass(frozen=True)
class Step:
    """The numbers of one step."""

    number: int
    metrics: Mapping[str, float]
    at: datetime


class Tracking:
    """All trackers of one attempt. ``see`` and ``end`` never wait and never raise."""

    def __init__(self, run: Run, names: Sequence[str]) -> None:
        self._run = run
        self._summary: dict[str, float] = {}
        self._feeds: list[Feed] = []
        self._names = tuple(names)
        self._is_over = False

    def see(self, lines: Sequence[Line]) -> None:
        """Pass on the numbers in ``lines``, which are in the run's log already."""
        if not self._names:
            return
        for line in lines:
            match line.event:
                case StepDone(step, metrics):
                    numbers = {name: one for name, one in metrics.items() if one is not None}
                    for feed in self._opened():
                        feed.put(Step(step, numbers, line.at))
                case Result(summary):
                    self._summary |= safe.numbers(summary)
                    self._opened()

    def end(self, status: Status) -> None:
        """The attempt is over; the threads see to the rest."""
        self._is_over = True
        for feed in self._feeds:
            feed.end(ENDINGS.get(status, "waiting"), self._summary)

    def wait(self, seconds: float) -> None:
        """Until every tracker has what it gets, for so long at most."""
        until = time.monotonic() + seconds
        for feed in self._feeds:
            feed.join(max(0.0, until - time.monotonic()))

    def _opened(self) -> list[Feed]:
        # Only now: a run that says no number is not worth a row in anybody's tracker.
        if not self._feeds:
            self._feeds = [Feed(self._run, name) for name in self._names]
            for feed in self._feeds:
                feed.start()
        return self._feeds

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        if not self._is_over:
            self.end(Status.LOST)


def of(run: Run) -> Tracking:
    """The tracking of one attempt; without trackers, or for a server, it does nothing."""
    is_server = run.settings.queue == "serve"
    return Tracking(run, () if is_server else settings.TRACKERS)


class Feed(threading.Thread):
    """One tracker's thread: takes steps from its queue and hands them on."""

    def __init__(self, run: Run, name: str) -> None:
        super().__init__(name=f"{name} of run {run.pk}", daemon=True)
        self.run_id = run.pk
        self.tracker_name = name
        self.folder = run.folder / "trackers"
        self.num_lost = 0
        self._steps: deque[Step] = deque()
        self._change = threading.Condition()
        self._ending: tuple[Ending, Mapping[str, float]] | None = None
        self._until = float("inf")
        self._has_complained = False

    def put(self, step: Step) -> None:
        """Queue a step, or count it as lost."""
        with self._change:
            if len(self._steps) >= STEPS:
                self.num_lost += 1
                return
            self._steps.append(step)
            self._change.notify()

    def end(self, ending: Ending, summary: Mapping[str, float]) -> None:
        """Nothing more will come."""
        with self._change:
            self._ending = (ending, dict(summary))
            self._until = time.monotonic() + LAST_SECONDS
            self._change.notify()

    def run(self) -> None:
        _live.add(self)
        try:
            with logs.bound_to(self.run_id):
                self._work()
        finally:
            _live.discard(self)
            connection.close()

    def _work(self) -> None:
        tracker = self._start()
        failures = 0
        while (step := self._next()) is not None:
            if tracker is None or failures >= FAILURES or time.monotonic() > self._until:
                self.num_lost += 1
            elif self._try(partial(tracker.log, step.number, step.metrics, step.at)):
                failures = 0
            else:
                self.num_lost += 1
                failures += 1
                self._rest(failures)
        assert self._ending is not None
        if tracker is not None:
            self._try(partial(tracker.finish, *self._ending))
        if self.num_lost:
            steps = "1 step" if self.num_lost == 1 else f"{self.num_lost} steps"
            self._say(f"{steps} could not be sent to {self.tracker_name}", "warning")

    def _start(self) -> Tracker | None:
        """The tracker with its run open; None when that failed too often, or cannot succeed."""
        for failures in range(1, FAILURES + 1):
            try:
                tracker = trackers.make(self.tracker_name)
            except UserError as error:
                self._complain(str(error))
                return None
            if self._try(partial(self._open, tracker)):
                return tracker
            self._rest(failures)
        return None

    def _open(self, tracker: Tracker) -> None:
        before = kept(self.folder, self.tracker_name)
        run = Run.objects.select_related("dataset__dataset").get(pk=self.run_id)
        link = tracker.start(start_of(run, self.folder, before.id if before else ""))
        with replace_when_whole(_file(self.folder, self.tracker_name)) as file:
            file.write(json.dumps({"id": link.id, "url": link.url}).encode())
        if before is None:
            where = link.url or "on this machine"
            self._say(f"{self.tracker_name} has the numbers: {where}", "info", url=link.url)

    def _try(self, act: Callable[[], object]) -> bool:
        """Whether it went well; the first time it does not, the run's log says so."""
        try:
            act()
        # Whatever another's library raises ends here: it must never reach the run.
        except Exception as error:
            logger.warning("%s", self.tracker_name, exc_info=True)
            self._complain(safe.sentence(error))
            return False
        return True

    def _complain(self, sentence: str) -> None:
        if not self._has_complained:
            self._has_complained = True
            self._say(f"{self.tracker_name}: {sentence}; the run goes on without it", "warning")

    def _say(self, text: str, level: str, **more: Any) -> None:
        """An event of the console's own: the job's journal does not count it."""
        try:
            with transaction.atomic():
                run = events.lock(self.run_id)
                events.say(run, "tracker", name=self.tracker_name, text=text, level=level, **more)
        except (DatabaseError, Run.DoesNotExist) as error:
            logger.warning("%s (the run's log does not have it: %s)", text, error)

    def _next(self) -> Step | None:
        with self._change:
            self._change.wait_for(lambda: self._steps or self._ending)
            return self._steps.popleft() if self._steps else None

    def _rest(self, failures: int) -> None:
        """Let a tracker that failed recover, but not past the end of the attempt."""
        seconds = FIRST_WAIT_SECONDS * 2 ** (failures - 1)
        with self._change:
            self._change.wait_for(lambda: self._ending is not None, timeout=seconds)


def start_of(run: Run, folder: Path, id: str = "") -> Start:
    """What a tracker is told of the run."""
    facts = {
        "run": str(run.pk),
        "kind": run.kind,
        "seed": str(run.seed),
        "code_revision": run.code_revision,
    }
    if run.dataset is not None:
        facts["dataset"] = f"{run.dataset.dataset.name} version {run.dataset.number}"
        facts["dataset_sha256"] = run.dataset.digest
    for item in run.inputs.select_related("artifact"):
        facts[f"input.{item.name}"] = f"{item.artifact_id} sha256:{item.artifact.digest}"
    return Start(
        name=run.name,
        project=settings.TRACKERS_PROJECT,
        id=id,
        folder=folder,
        config=safe.config(run.config),
        facts=facts,
        tags=tuple(run.tags),
    )


def kept(folder: Path, name: str) -> Link | None:
    """What the tracker called this run before; None the first time."""
    try:
        found = json.loads(_file(folder, name).read_text())
    except FileNotFoundError:
        return None
    return Link(found["id"], found["url"])


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


@worker_shutdown.connect
def wait_for_all(**signal: Any) -> None:
    """Let what is on its way arrive before the worker's process ends."""
    until = time.monotonic() + LEAVE_SECONDS
    for feed in [*_live]:
        feed.join(max(0.0, until - time.monotonic()))
