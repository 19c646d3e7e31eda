"""Kill the console's parts at random moments and show that nothing is lost.

    python -m benchmarks.faults [--kills 200] [--seed 1]

A console of its own (``benchmarks.standins``): embedded PostgreSQL and Valkey, web, workers,
reconciler, a process for each job. First a pipeline runs unbroken; then pipelines of the same
seed run while parts are killed with SIGKILL, in an order and at moments that the seed decides.
Nothing is started again by hand: the supervisor and the reconciler have to do it. At the end of
each pipeline its artifacts, numbers, traces and events are held against the unbroken one's, and
so is what a browser saw that watched it over a WebSocket all the while.
Ends with code 1 when anything was lost, doubled, changed, or stuck, or was never killed.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil
from django.utils import timezone

from benchmarks.houses import (
    COMMANDS,
    GIVE_UP_SECONDS,
    LEASE_SECONDS,
    Browser,
    House,
    house,
    is_now,
    surely,
)
from benchmarks.unbroken import Comparison

if TYPE_CHECKING:
    from apps.runs.models import Run

# Lease, the reconciler's round, and the wait of a supervisor or reconciler for a busy core. A
# supervisor that starts a part again and again waits twice as long each time, on top of that.
LONGEST_SECONDS = LEASE_SECONDS + 2 + 3
LONGEST_PAUSE_SECONDS = 1.5
# ``server`` is what a deployment answers with; the others are killed while a pipeline computes.
TARGETS = ("job", "worker", "web", "valkey", "postgres", "reconciler", "server")
MOVES = ("step", "checkpoint", "saved", "result", "serving")


class Due(NamedTuple):
    """What is to be killed next, and how long the console is left in peace before."""

    target: str
    pause_seconds: float


@dataclass
class Kill:
    """One kill: seconds until the console acted on it, until the part answered again, and until
    its run had gone on."""

    target: str
    noticed: float
    back: float
    moved: float


def table(kills: Sequence[Kill]) -> str:
    """The kills by target, in seconds."""
    rows = [
        "| killed | kills | noticed, median | longest | answers, median | longest "
        "| run goes on, median | longest |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for target in TARGETS:
        found = [(one.noticed, one.back, one.moved) for one in kills if one.target == target]
        if found:
            columns = [
                f"{statistics.median(one):.1f} | {max(one):.1f}"
                for one in zip(*found, strict=True)
            ]
            rows.append(f"| {target} | {len(found)} | {' | '.join(columns)} |")
    return "\n".join(rows)


# --- Pipelines ---------------------------------------------------------------------------------
@dataclass
class Bench:
    """Starts pipelines, kills, and compares."""

    house: House
    longest_seconds: float = LONGEST_SECONDS
    kills: list[Kill] = field(default_factory=list)
    comparison: Comparison = field(default_factory=Comparison)

    def prepare(self) -> None:
        """A person, a base and a few prompts."""
        from django.test import Client

        from apps.accounts.models import Role
        from apps.accounts.services import make_user
        from apps.datasets.services import keep_version
        from apps.runs.models import Artifact, Run, Status
        from kos.data.rubrics import RubricItem, RubricTask, Turn
        from kos.digests import digest_of

        self.owner = make_user("ada", "correct horse battery", Role.ADMIN)
        item = RubricItem(key="dose", text="Names a dose.", points=1)
        asked = RubricTask(
            id="one", messages=(Turn(role="user", content="Which?"),), rubric=(item,)
        )
        self.prompts = keep_version("prompts", [asked], source="benchmark")
        made = Run.objects.create(name="base", kind="base", owner=self.owner, status=Status.DONE)
        base = made.folder / "base"
        base.mkdir(parents=True)
        (base / "model.bin").write_bytes(b"weights" * 1000)
        digest = digest_of(base)
        self.base = Artifact.objects.create(
            run=made, kind="base", name="base", path=f"{made.pk}/base",
            digest=digest.sha256, size_bytes=digest.size_bytes,
        )  # fmt: skip
        browser = Client()
        browser.force_login(self.owner)
        self.cookie = "; ".join(f"{name}={one.value}" for name, one in browser.cookies.items())

    def run_pipeline(self, due: list[Due]) -> None:
        """One pipeline; what is ``due`` is killed, from the front, as far as the pipeline gets."""
        from apps.runs import services
        from apps.runs.models import Run, Status

        pipeline = surely(
            lambda: services.launch(
                self.owner,
                "pipeline",
                {"warm_start": False},
                inputs={"base": self.base},
                dataset=self.prompts,
                seed=11,
            )
        )
        browser = Browser(self.house.port, self.cookie, pipeline.pk)
        browser.start()
        while not self.is_ended(pipeline):
            self.kill_next(pipeline, due, is_server=False)
        surely(pipeline.refresh_from_db)
        if pipeline.status != Status.DONE:
            raise SystemExit(f"a pipeline did not survive its kills: {state(pipeline)}")
        self.kill_next(pipeline, due, is_server=True)
        stage = surely(lambda: Run.objects.filter(pipeline=pipeline).latest("pk"))
        surely(lambda: services.stop(stage))
        self.until(lambda: Run.objects.get(pk=stage.pk).is_ended, "the deployment did not stop")
        wanted = surely(lambda: Run.objects.get(pk=pipeline.pk).last_seq)
        self.until(lambda: len(browser.seen) >= wanted, "the browser did not see the end")
        browser.is_over.set()
        browser.join()
        self.comparison.hold(pipeline, browser.seen)

    def kill_next(self, pipeline: Run, due: list[Due], *, is_server: bool) -> None:
        """Kill the first that is due, after its pause, unless the pipeline ends before."""
        place = next(
            (n for n, one in enumerate(due) if (one.target == "server") == is_server), None
        )
        time.sleep(0.1 if place is None else due[place].pause_seconds)
        began = time.monotonic()
        while place is not None and (is_server or not self.is_ended(pipeline)):
            if self.kill(pipeline, due[place].target):
                del due[place]
                return
            if time.monotonic() > began + GIVE_UP_SECONDS:
                raise SystemExit(
                    f"no {due[place].target} to kill in {GIVE_UP_SECONDS} s: {state(pipeline)}"
                )
            time.sleep(0.03)

    def is_ended(self, pipeline: Run) -> bool:
        from apps.runs.models import Run

        return surely(lambda: Run.objects.get(pk=pipeline.pk).is_ended)

    def until(self, is_true: Callable[[], bool], problem: str) -> float:
        """Seconds until ``is_true()``; a wrong in the report when that takes too long."""
        began = time.monotonic()
        while not surely(is_true):
            if time.monotonic() > began + GIVE_UP_SECONDS:
                raise SystemExit(f"{problem} in {GIVE_UP_SECONDS} s; see {self.house.folder}")
            time.sleep(0.03)
        return time.monotonic() - began

    # --- Killing ---------------------------------------------------------------------------
    def kill(self, pipeline: Run, target: str) -> bool:
        """Kill ``target`` and wait until all goes on; False when it is not there just now."""
        held = surely(lambda: self.held_by(pipeline))
        victim = self.find(held, target)
        if victim is None:
            return False
        at, began = timezone.now(), time.monotonic()
        victim.kill()
        due: dict[str, Callable[[], bool]] = {
            "noticed": lambda: self.is_noticed(held, target, victim.pid),
            "back": lambda: target not in COMMANDS or self.house.answers(target),
            "moved": lambda: self.has_moved(pipeline, target, at),
        }
        times = {}
        while due:
            for name in [name for name, is_so in due.items() if is_now(is_so)]:
                times[name] = time.monotonic() - began
                del due[name]
            if time.monotonic() > began + GIVE_UP_SECONDS:
                raise SystemExit(f"{target}: not {' and '.join(due)} in {GIVE_UP_SECONDS} s")
            time.sleep(0.03)
        self.kills.append(Kill(target, **times))
        wait = self.house.last_wait(target) if target in COMMANDS else 0.0
        if times["noticed"] > self.longest_seconds + wait:
            self.comparison.wrongs.append(f"{target} was noticed after {times['noticed']:.1f} s")
        return True

    def held_by(self, pipeline: Run) -> Run | None:
        """The stage that a worker is at."""
        from apps.runs.models import HELD, Run

        return Run.objects.filter(pipeline=pipeline, status__in=HELD).order_by("pk").last()

    def find(self, held: Run | None, target: str) -> psutil.Process | None:
        """The process to kill, if it is there."""
        if target in COMMANDS:
            return self.house.part(target)
        if held is None or (held.kind == "deploy") != (target == "server"):
            return None
        with suppress(psutil.Error):
            worker = psutil.Process(int(held.worker.split()[0].rpartition(":")[2]))
            if target == "worker":
                return worker
            return next(
                (one for one in worker.children() if "workers.child" in one.cmdline()), None
            )
        return None

    def is_noticed(self, held: Run | None, target: str, old: int) -> bool:
        """The supervisor has started the part again, or the run is taken from its dead attempt."""
        from apps.runs.models import HELD, Run

        if target in COMMANDS:
            part = self.house.part(target)
            return part is not None and part.pid != old
        assert held is not None
        same = Run.objects.filter(pk=held.pk, attempt=held.attempt, status__in=HELD)
        return not same.exists()

    def has_moved(self, pipeline: Run, target: str, at: datetime) -> bool:
        """A job has said something since, or there is nothing more to say."""
        from apps.runs.models import Event

        said = Event.objects.filter(run__pipeline=pipeline, kind__in=MOVES, at__gt=at)
        return said.exists() or (target != "server" and self.is_ended(pipeline))


def state(pipeline: Run) -> str:
    """The pipeline and its stages, for the message that it is stuck."""
    from apps.runs.models import Run

    parts = Run.objects.filter(pipeline=pipeline).order_by("pk")
    pipeline.refresh_from_db()
    return "; ".join(
        f"run {run.pk} ({run.kind}, attempt {run.attempt}) {run.status} {run.error}".rstrip()
        for run in (pipeline, *parts)
    )


def deck(kills: int, seed: int) -> list[Due]:
    """So many targets, each as often as the others, shuffled, each with its pause."""
    rng = random.Random(seed)  # noqa: S311 (no secret)
    targets = [TARGETS[number % len(TARGETS)] for number in range(kills)]
    rng.shuffle(targets)
    return [Due(target, rng.uniform(0.05, LONGEST_PAUSE_SECONDS)) for target in targets]


def out(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60, help="Begin no pipeline after that.")
    parser.add_argument(
        "--noticed-seconds",
        type=float,
        default=LONGEST_SECONDS,
        help="A kill that is noticed later is a wrong (the supervisor's own waits come on top).",
    )
    parser.add_argument("--folder", type=Path, help="Where to keep state and logs.")
    chosen = parser.parse_args()
    due = deck(chosen.kills, chosen.seed)
    with tempfile.TemporaryDirectory(prefix="kos-faults-") as name:
        folder = chosen.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        with house(folder) as up:
            bench = Bench(up, chosen.noticed_seconds)
            bench.prepare()
            began = time.monotonic()
            bench.run_pipeline([])
            out(f"an unbroken pipeline took {time.monotonic() - began:.1f} s")
            while due and time.monotonic() < began + 60 * chosen.minutes:
                num_due, num_wrongs = len(due), len(bench.comparison.wrongs)
                bench.run_pipeline(due)
                out(_standing(bench, time.monotonic() - began))
                for sentence in bench.comparison.wrongs[num_wrongs:]:
                    out(f"WRONG: {sentence}")
                if len(due) == num_due:
                    raise SystemExit(f"a whole pipeline long there was no {due[0].target} to kill")
        num_again = (folder / "house.log").read_text().count("ended with code")
    load = ", ".join(f"{part:.1f}" for part in os.getloadavg())
    out(f"\n{table(bench.kills)}\n")
    out(f"The supervisor started {num_again} processes again; {os.cpu_count()} cores, load {load}")
    if due:
        out(f"{len(due)} kills are left after {chosen.minutes:g} minutes")
    sys.exit(1 if due or bench.comparison.wrongs else 0)


def _standing(bench: Bench, seconds: float) -> str:
    found = bench.comparison
    return (
        f"{seconds:6.0f} s: {len(bench.kills)} kills in {found.num_pipelines - 1} pipelines, "
        f"{found.num_attempts} attempts at their stages, {found.num_events:,} events, "
        f"{found.num_lost['lost']} lost, {found.num_lost['doubled']} doubled, "
        f"{len(found.wrongs)} wrongs"
    )


if __name__ == "__main__":
    main()
