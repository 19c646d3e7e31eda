"""A console of stand-ins for ``benchmarks.faults``, and a browser that watches it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx
import psutil
import websockets.exceptions
from django.db import connection
from websockets.sync.client import connect

from benchmarks.consoles import ROOT, free_port
from workers.away import AWAY

LEASE_SECONDS = 3
GIVE_UP_SECONDS = 150
# How each part is told from the supervisor's other children.
COMMANDS = {
    "web": "kosweb.web",
    "valkey": "v.sock",
    "postgres": "listen_addresses=",
    "reconciler": "workers.reconcile",
}
T = TypeVar("T")


@dataclass
class House:
    """The running console: its process, and where it listens."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    def part(self, name: str) -> psutil.Process | None:
        """The supervisor's child of that name; None while it is away."""
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.Error):
                if any(COMMANDS[name] in word for word in child.cmdline()):
                    return child
        return None

    def last_wait(self, name: str) -> float:
        """Seconds that the supervisor said it waits before it starts the part again."""
        said = (self.folder / "house.log").read_text()
        waits = re.findall(rf"{name} ended with .* again in (\S+) s", said)
        return float(waits[-1]) if waits else 0.0

    def answers(self, name: str) -> bool:
        """Whether the part of that name does its work."""
        if name == "web":
            with suppress(httpx.TransportError):
                return httpx.get(f"http://127.0.0.1:{self.port}/healthz").is_success
            return False
        if name == "valkey":
            return _pings(self.folder)
        if name == "postgres":
            connection.close()
            connection.ensure_connection()
        return self.part(name) is not None


@contextmanager
def house(folder: Path) -> Iterator[House]:
    """A console of stand-ins in ``folder``, and this process' Django at work on it."""
    port = free_port()
    for variable in ("DATABASE_URL", "REDIS_URL", "KOS_ARTIFACTS"):
        os.environ.pop(variable, None)
    os.environ |= {
        "KOS_VAR": str(folder),
        "KOS_PORT": str(port),
        "KOS_LEASE_SECONDS": str(LEASE_SECONDS),
        "KOS_LOG_LEVEL": "WARNING",
        "DJANGO_SETTINGS_MODULE": "kosweb.settings",
    }
    log = folder / "house.log"
    with log.open("wb") as out:
        command = [sys.executable, "-m", "benchmarks.standins"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)
    try:
        while "jobs compute with" not in log.read_text():
            if process.poll() is not None:
                raise SystemExit(f"the console did not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.1)
        _set_up()
        yield House(process, port, folder)
    finally:
        process.terminate()
        process.wait(90)


def _set_up() -> None:
    import django
    from django.conf import settings

    # A pool waits ever longer before it tries again; here every moment is measured.
    settings.DATABASES["default"]["OPTIONS"].pop("pool", None)
    django.setup()


def surely(ask: Callable[[], T]) -> T:
    """``ask()``, again while the database is away."""
    end = time.monotonic() + GIVE_UP_SECONDS
    while True:
        try:
            return ask()
        except AWAY:
            connection.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def is_now(ask: Callable[[], bool]) -> bool:
    """``ask()``; False while the database is away."""
    try:
        return ask()
    except AWAY:
        connection.close()
        return False


# --- A browser ---------------------------------------------------------------------------------
class Browser(threading.Thread):
    """Watches one run over a WebSocket, coming back whenever the socket breaks."""

    def __init__(self, port: int, cookie: str, run_id: int) -> None:
        super().__init__(daemon=True)
        self.url = f"ws://127.0.0.1:{port}/ws/runs/{run_id}/"
        self.headers = {"Cookie": cookie, "Origin": f"http://127.0.0.1:{port}"}
        self.seen: list[int] = []
        self.is_over = threading.Event()

    def run(self) -> None:
        while not self.is_over.is_set():
            try:
                self._watch()
            except (OSError, websockets.exceptions.WebSocketException):
                time.sleep(0.2)

    def _watch(self) -> None:
        after = self.seen[-1] if self.seen else 0
        with connect(
            f"{self.url}?after={after}", additional_headers=self.headers, max_size=None
        ) as socket:
            while not self.is_over.is_set():
                with suppress(TimeoutError):
                    frame = json.loads(socket.recv(timeout=0.3))
                    self.seen += [row["seq"] for row in frame["rows"]]


def _pings(folder: Path) -> bool:
    import redis

    from kosweb.embedded import valkey

    path = str(valkey.socket(folder))
    with suppress(redis.RedisError), redis.Redis(unix_socket_path=path) as client:
        return bool(client.ping())
    return False
