"""What the console holds when everybody comes at once, and what it refuses past that.

    python -m benchmarks.load [--streams 500] [--viewers 500] [--events 1000]
                              [--traces 1000000] [--seconds 30]

One web process, an embedded PostgreSQL and Valkey, and a scripted OpenAI-compatible engine, all
on this machine, with so many traces in the database. First each load alone, then all together:
chat streams through the gateway (and the same straight from the engine), browsers that watch 20
runs (a tenth of them read nothing for half of the time), events from those runs, appended as a
worker's pump does. Then half as many streams again as the process is told to hold. Meanwhile
the web process's memory is sampled; the mean of each half of a load shows whether it grows.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil

from benchmarks import gateway, loads, seeding
from benchmarks.console import at, out, sign_in, stolen, time_pages
from benchmarks.consoles import WEB, broker, database, free_port, running
from benchmarks.gateway import Target
from benchmarks.loads import Asking, Page, Seen

NUM_PEOPLE, NUM_RUNS, NUM_SPEAKERS = 10, 20, 4
NUM_WORKERS = NUM_SPEAKERS + 2
BATCH = 10
SAMPLE_SECONDS = 0.25
# People begin apart, before what is measured is steady.
SETTLE_SECONDS = 5
POOL = re.compile(r'kos_database_pool\{state="(waited|waited_ms)"\} ([0-9.e+]+)')
# A gateway that is told to hold so many streams for each that comes in the loads.
ROOM, CROWD = 1.1, 1.5


class Asked(NamedTuple):
    """The options."""

    streams: int
    viewers: int
    events: int
    traces: int
    runs: int
    seconds: float
    tokens: int
    rate: float
    repeats: int


@dataclass
class Memory:
    """Megabytes of one process, sampled until told to stop."""

    process: psutil.Process
    rss: list[float] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Memory:
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self.is_over.wait(SAMPLE_SECONDS):
            self.rss.append(self.process.memory_info().rss / 1e6)

    def halves(self) -> tuple[float, float]:
        """The means of the first and the second half, after the settling."""
        steady = self.rss[int(SETTLE_SECONDS / SAMPLE_SECONDS) :] or self.rss
        middle = max(1, len(steady) // 2)
        parts = steady[:middle], steady[middle:] or steady
        return tuple(sum(part) / len(part) for part in parts)  # type: ignore[return-value]


# --- Who takes part ---------------------------------------------------------------------------
class Person(NamedTuple):
    """A member with a token and a browser."""

    token: str
    cookie: str


def people() -> list[Person]:
    from django.test import Client

    from apps.accounts.models import Role
    from apps.accounts.services import create_token, make_user
    from apps.deployments import limits

    found = []
    for number in range(NUM_PEOPLE):
        user = make_user(f"person-{number}", "correct horse battery", Role.ENGINEER)
        limits.set_allowance(user, tokens_per_day=0, requests_per_minute=1_000_000)
        browser = Client()
        browser.force_login(user)
        cookies = "; ".join(f"{name}={one.value}" for name, one in browser.cookies.items())
        found.append(Person(create_token(user, "load").text, cookies))
    return found


def running_runs() -> list[int]:
    from django.db import connections

    from apps.accounts.models import User
    from apps.runs.models import Run
    from kos.config import Train

    ada, config = User.objects.get(username="ada"), Train().model_dump(mode="json")
    made = [
        Run.objects.create(
            name=f"spoken {number}", kind="train", owner=ada, status="running", attempt=1,
            config=config,
        ).pk
        for number in range(NUM_RUNS)
    ]  # fmt: skip
    connections.close_all()
    return made


# --- The loads --------------------------------------------------------------------------------
@dataclass
class Bench:
    """Starts crowds, waits for them, and prints what they met."""

    asked: Asked
    web: psutil.Process
    url: str
    postgres: psutil.Process
    valkey: psutil.Process
    engine: Target
    kos: list[Target]
    people: list[Person]
    runs: list[int]
    workers: ProcessPoolExecutor
    memory: list[str] = field(default_factory=list)

    def streams(self, targets: Sequence[Target], count: int) -> list[Future[Seen]]:
        asking = Asking(count, self.asked.tokens, self.asked.rate, self.asked.seconds)
        return [self.workers.submit(loads.stream, targets, asking)]

    def viewers(self, count: int) -> list[Future[Seen]]:
        from apps.runs.models import Run

        base = self.url.replace("http", "ws")
        heads = dict(Run.objects.filter(pk__in=self.runs).values_list("pk", "last_seq"))
        pages = [
            Page(
                f"{base}/ws/runs/{run}/?after={heads[run]}",
                self.people[place % NUM_PEOPLE].cookie,
                is_slow=place % 10 == 9,
            )
            for place, run in zip(range(count), cycle(self.runs), strict=False)
        ]
        return [self.workers.submit(loads.watch, pages, self.asked.seconds)]

    def events(self, rate: float) -> list[Future[Seen]]:
        groups = [self.runs[place::NUM_SPEAKERS] for place in range(NUM_SPEAKERS)]
        given = (self.asked.seconds, rate / NUM_SPEAKERS, BATCH)
        return [self.workers.submit(loads.speak, group, *given) for group in groups]

    @contextmanager
    def watched(self, name: str) -> Iterator[None]:
        """Samples the processes' memory while a load is on."""
        before, waits = self.rss(), self.waits()
        with Memory(self.web) as memory:
            yield
        time.sleep(SETTLE_SECONDS)
        first, second = memory.halves()
        waited, waited_ms = (now - then for now, then in zip(self.waits(), waits, strict=True))
        self.memory.append(
            f"| {name} | {before:.0f} | {max(memory.rss):.0f} | {self.rss():.0f} "
            f"| {first:.0f} → {second:.0f} | {pss(self.postgres):.0f} | {pss(self.valkey):.0f} "
            f"| {waited:.0f} ({waited_ms / max(1.0, waited):.0f} ms each) |"
        )

    def rss(self) -> float:
        return float(self.web.memory_info().rss / 1e6)

    def waits(self) -> tuple[float, float]:
        """Requests that have waited for a connection of the pool, and milliseconds of them all."""
        httpx.get(f"{self.url}/readyz", timeout=60)  # the numbers are noted with a reply
        found = dict(POOL.findall(httpx.get(f"{self.url}/metrics", timeout=60).text))
        return float(found.get("waited", 0)), float(found.get("waited_ms", 0))

    # --- What is measured -----------------------------------------------------------------
    def run(self) -> None:
        asked = self.asked
        out("\n| load | what | asked | achieved | p50 ms | p95 ms | errors |")
        out("|---|---|---:|---:|---:|---:|---|")
        self.tell_streams("engine itself", gathered(self.streams([self.engine], asked.streams)))
        with self.watched("streams alone"):
            seen = gathered(self.streams(self.kos, asked.streams))
        self.tell_streams("streams alone", seen)
        with self.watched("viewers alone, a tenth of the events"):
            self.events_and_viewers("viewers alone", asked.events / 10, asked.viewers)
        with self.watched("events alone, a viewer a run"):
            self.events_and_viewers("events alone", asked.events, NUM_RUNS)
        with self.watched("all together"):
            streams = self.streams(self.kos, asked.streams)
            self.events_and_viewers("all together", asked.events, asked.viewers)
            seen = gathered(streams)
        self.tell_streams("all together", seen)
        with self.watched(f"{CROWD:g} times the streams"):
            seen = gathered(self.streams(self.kos, int(asked.streams * CROWD)))
        self.tell_streams("past the limit", seen, count=int(asked.streams * CROWD))
        out(
            "\nMegabytes; PostgreSQL's are shared pages counted once.\n\n"
            "| load | web before | peak | after | first → second half | PostgreSQL | Valkey "
            "| waits for a connection |\n|---|---:|---:|---:|---:|---:|---:|---:|"
        )
        out("\n".join(self.memory))

    def events_and_viewers(self, load: str, rate: float, viewers: int) -> None:
        watching, speaking = self.viewers(viewers), self.events(rate)
        seen, said = gathered(watching), gathered(speaking)
        self.tell(load, "events a second", rate, said.count, said.first, said)
        # They come within three seconds; a tenth of them reads in the second half alone.
        self.tell(
            load, "events a second to viewers", rate * viewers / NUM_RUNS, seen.count, seen.first,
            seen,
        )  # fmt: skip

    def tell_streams(self, load: str, seen: Seen, *, count: int = 0) -> None:
        asked = (count or self.asked.streams) * self.asked.rate
        self.tell(load, "tokens a second; first token", asked, seen.count, seen.first, seen)
        self.tell(load, "gap between tokens", None, None, seen.gaps, Seen())

    def tell(
        self,
        load: str,
        what: str,
        asked: float | None,
        count: int | None,
        times: list[float],
        seen: Seen,
    ) -> None:
        wanted = "" if asked is None else f"{asked:,.0f}"
        achieved = "" if count is None else f"{count / self.asked.seconds:,.0f}"
        p50, p95 = (f"{1000 * at(times, share):,.0f}" if times else "" for share in (0.5, 0.95))
        errors = ", ".join(f"{number} x {name}" for name, number in seen.errors.most_common())
        out(f"| {load} | {what} | {wanted} | {achieved} | {p50} | {p95} | {errors or 'none'} |")


def gathered(futures: Sequence[Future[Seen]]) -> Seen:
    """What all processes of a crowd met."""
    found = Seen()
    for future in futures:
        found.add(future.result())
    return found


def pss(process: psutil.Process) -> float:
    """Megabytes of a process and its children, pages that they share counted once."""
    parts = [process, *process.children(recursive=True)]
    return float(sum(one.memory_full_info().pss for one in parts) / 1e6)


def child_called(word: str) -> psutil.Process:
    """This process's child with ``word`` in its command."""
    children = psutil.Process().children(recursive=True)
    return next(one for one in children if any(word in part for part in one.cmdline()))


def seeded(asked: Asked) -> dict[str, Any]:
    began = time.monotonic()
    ids = seeding.fill(runs=asked.runs, traces=asked.traces, steps=500)
    load = ", ".join(f"{part:.1f}" for part in os.getloadavg())
    out(
        f"{asked.traces:,} traces and {4 * asked.traces:,} grades seeded in "
        f"{time.monotonic() - began:.0f} s; {len(os.sched_getaffinity(0))} cores, load {load}\n"
    )
    return ids


def measure(asked: Asked, folder: Path, engine: Target, valkey: psutil.Process) -> None:
    ids, port = seeded(asked), free_port()
    gateway.prepare(f"http://127.0.0.1:{engine.port}")
    members, runs = people(), running_runs()
    kos = [Target("through Kos", port, person.token) for person in members]
    with (
        running(WEB, port, folder / "web.log") as web,
        ProcessPoolExecutor(
            NUM_WORKERS, mp_context=get_context("spawn"), initializer=loads.prepare
        ) as workers,
    ):
        list(workers.map(time.sleep, [1.0] * NUM_WORKERS))  # all of them have started
        url = f"http://127.0.0.1:{port}"
        before = stolen()
        if asked.repeats:
            time_pages(sign_in(url), web, ids, asked.repeats)
        postgres = child_called("listen_addresses=")
        Bench(asked, web, url, postgres, valkey, engine, kos, members, runs, workers).run()
        gone, whole = (now - then for now, then in zip(stolen(), before, strict=True))
        out(f"\nThe host kept {gone / whole:.0%} of the processors' time for others meanwhile.")


def options() -> Asked:
    parser = argparse.ArgumentParser(description=__doc__)
    given: dict[str, tuple[Callable[[str], Any], Any, str]] = {
        "streams": (int, 500, "callers who stream at once"),
        "viewers": (int, 500, "browsers that watch runs"),
        "events": (int, 1000, "events a second from 20 runs"),
        "traces": (int, 1_000_000, "in the database"),
        "runs": (int, 1000, "in the database"),
        "seconds": (float, 30.0, "of each load"),
        "tokens": (int, 100, "of an answer"),
        "rate": (float, 10.0, "tokens a second of an answer, as the engine writes them"),
        "repeats": (int, 20, "of each page; 0: no page, and nothing to prepare for them"),
    }
    for name, (kind, usual, told) in given.items():
        parser.add_argument(f"--{name}", type=kind, default=usual, help=f"{told} ({usual})")
    return Asked(**vars(parser.parse_args()))


def main() -> None:
    asked = options()
    most = int(asked.streams * ROOM)
    os.environ |= {"KOS_MOST_ANSWERS": str(most), "KOS_MOST_ANSWERS_OWN": str(most)}
    with (
        tempfile.TemporaryDirectory() as name,
        database(has_pages=bool(asked.repeats)) as folder,
    ):
        engine = Target("engine itself", free_port())
        script = ("uvicorn", "benchmarks.gateway:engine", "--log-level", "warning")
        with (
            broker(folder) as valkey,
            running(script, engine.port, Path(name) / "engine.log"),
        ):
            measure(asked, folder, engine, valkey)


if __name__ == "__main__":
    main()
