"""The deploy job: serve a model until it is told to stop, through crashes of its server."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx

from kos.config import Asking, Deploy
from kos.errors import UserError
from kos.events import Job, Note, Progress, Restarting, Serving
from kos.serving import engines
from kos.serving.client import HttpClient, connect_sync, is_listening, socket_url
from kos.serving.engines import Server
from kos.serving.family import dialect_of
from kos.serving.probe import warm_up
from kos.serving.vllm import ServerEndedError
from kos.tools.registry import pick_tools

MCP = "mcp__"
# A Unix socket's path is bounded by the kernel's sockaddr_un: 108 bytes with the closing zero.
MAX_SOCKET_BYTES = 107
# A trillion parameters take that long to load from a slow disk.
START_SECONDS = 3600.0
POLL_SECONDS = 0.5
HEALTH_SECONDS = 10.0
# A busy server may miss a check; one that misses so many in a row hangs.
MISSED_CHECKS = 6
# A server that answered this long had started well: its crashes count from the start again.
STEADY_SECONDS = 600.0
LONGEST_WAIT_SECONDS = 60.0
# What a server that served may end with; torch's errors are RuntimeErrors.
CRASHES = (UserError, RuntimeError, OSError)


def deploy(config: Deploy, job: Job) -> None:
    """Serve ``job.inputs["model"]`` as ``config.name``; ends by ``CancelledError`` alone.

    ``Serving`` is emitted once the server is healthy and has answered a first question. A
    server that ends after that is started again, ``config.restarts`` times in a row at most;
    one that never served is not, and its error is raised.
    """
    check_tools(config.asking)
    engine = engines.choose(config, job)
    dialect = config.asking.dialect
    if dialect == "auto":
        dialect = dialect_of(job.inputs["model"])
    with _socket(job.folder) as path:
        url = socket_url(path)
        keeper = Keeper(config, job, engine, dialect)
        while True:
            try:
                with engines.start(engine, config, path, job) as server:
                    keeper.announce(url, server)
                    keeper.watch(url, server)
            except CRASHES as error:
                keeper.wait_after(error)


def check_tools(asking: Asking) -> None:
    """Raise UserError for a tool of Kos that is not there; those of MCP servers come and go."""
    pick_tools(tuple(name for name in asking.tools if not name.startswith(MCP)))


@dataclass
class Keeper:
    """Watches over a deployment's server, and counts its crashes."""

    config: Deploy
    job: Job
    engine: Literal["local", "vllm"]
    dialect: str
    failures: int = 0
    has_served: bool = False
    served_since: float = 0.0

    def announce(self, url: str, server: Server) -> None:
        """Wait until the server is healthy, ask it a first question, and say that it serves."""
        self.job.emit(Progress("start", 0, 2, "checks"))
        wait_until_healthy(url, server, self.job.check)
        self.job.emit(Progress("start", 1, 2, "checks"))
        first = warm_up(HttpClient(url, self.config.name))
        self.job.emit(
            Note(
                f"First answer: {first.text!r}, {first.first_token_seconds:.2f} s to its first "
                f"token, then {first.tokens_per_second:.1f} tokens/s"
            )
        )
        self.job.emit(Progress("start", 2, 2, "checks"))
        self.has_served, self.served_since = True, time.monotonic()
        self.job.emit(
            Serving(
                url,
                self.config.name,
                engine=self.engine,
                dialect=self.dialect,
                warm_up=first.show(),
            )
        )

    def watch(self, url: str, server: Server) -> None:
        """Return never: raise what ends the server, or the wish to stop."""
        missed, next_health = 0, time.monotonic() + HEALTH_SECONDS
        with connect_sync(url, silence_seconds=5) as http:
            while True:
                server.check()
                self.job.check()
                time.sleep(POLL_SECONDS)
                if time.monotonic() >= next_health:
                    next_health = time.monotonic() + HEALTH_SECONDS
                    missed = 0 if is_listening(url) and _is_healthy(http) else missed + 1
                if missed >= MISSED_CHECKS:
                    raise ServerEndedError(f"It missed {missed} health checks in a row.")

    def wait_after(self, error: Exception) -> None:
        """Say that the server is started again and pause; raise ``error`` if it is not."""
        if not self.has_served:
            raise error
        if time.monotonic() - self.served_since > STEADY_SECONDS:
            self.failures = 0
        if self.failures >= self.config.restarts:
            raise UserError(
                f"The server was started again {self.failures} times in a row and ended each "
                f"time; given up. The last time: {error}"
            ) from error
        wait = min(LONGEST_WAIT_SECONDS, 2.0**self.failures)
        self.failures += 1
        self.job.emit(Restarting(str(error), self.failures, wait))
        end = time.monotonic() + wait
        while time.monotonic() < end:
            self.job.check()
            time.sleep(min(POLL_SECONDS, wait))


def wait_until_healthy(url: str, server: Server, check: Callable[[], None]) -> None:
    """Poll ``/health`` until it answers 200; both checks may end the waiting."""
    deadline = time.monotonic() + START_SECONDS
    with connect_sync(url, silence_seconds=5) as http:
        while not (is_listening(url) and _is_healthy(http)):
            server.check()
            check()
            if time.monotonic() > deadline:
                raise UserError(f"The server was not healthy after {START_SECONDS:g} seconds.")
            time.sleep(POLL_SECONDS)


def _is_healthy(http: httpx.Client) -> bool:
    try:
        return http.get("/health").status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def _socket(folder: Path) -> Iterator[Path]:
    """A path for the socket: in the run's folder, or in a private one when that is too long."""
    path = folder / "model.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_BYTES:
        yield path
        return
    private = Path(tempfile.mkdtemp(prefix=f"kos-{os.getuid()}-", dir="/tmp"))
    try:
        yield private / path.name
    finally:
        shutil.rmtree(private, ignore_errors=True)
