"""A console of its own for a test: ``manage.py up``, with its folder, port and database."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self, TypeVar

import httpx
import psutil

from kosweb.embedded.sockets import socket_folder

ROOT = Path(__file__).parents[1]
START_SECONDS = 300
Found = TypeVar("Found")


class Console:
    """A running ``manage.py up`` and what it has said."""

    def __init__(self, var: Path, port: int, **settings: str) -> None:
        self.var = var
        self.url = f"http://127.0.0.1:{port}"
        self.environment = os.environ | {"KOS_VAR": str(var), "KOS_PORT": str(port)}
        for name in ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"):
            self.environment.pop(name, None)
        self.environment |= settings

    def start(self) -> None:
        self.said = self.var / "said.txt"
        with self.said.open("w") as said:
            self.process = psutil.Popen(
                self.command, env=self.environment, stdout=said, stderr=said
            )
        self.wait_for("Kos is ready")

    def manage(self, *words: str, **changes: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "manage.py"), *words]
        environment = self.environment | changes
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    def told(self, *words: str) -> str:
        """What a management command beside it prints; it must end well."""
        done = self.manage(*words)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.strip()

    def shell(self, code: str) -> str:
        """Run Python inside the console's Django and return what it prints."""
        return self.told("shell", "-v0", "-c", code)

    @property
    def command(self) -> list[str]:
        return [sys.executable, str(ROOT / "manage.py"), "up"]

    @property
    def family(self) -> list[psutil.Process]:
        return self.process.children(recursive=True)

    def each(self, question: Callable[[psutil.Process], Found]) -> dict[psutil.Process, Found]:
        """What each of its processes answers; some come and go meanwhile."""
        found = {}
        for process in self.family:
            with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
                found[process] = question(process)
        return found

    @property
    def webs(self) -> list[psutil.Process]:
        """Its web processes: one, but for a moment in a restart."""
        commands = self.each(psutil.Process.cmdline)
        return [one for one, command in commands.items() if "kosweb.web" in command]

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + START_SECONDS
        while text not in self.said.read_text():
            assert self.process.poll() is None, self.said.read_text()
            assert time.monotonic() < end, self.said.read_text()
            time.sleep(0.1)

    def is_healthy(self) -> bool:
        return is_healthy(self.url)

    @classmethod
    @contextmanager
    def running(cls, var: Path, **settings: str) -> Iterator[Self]:
        """One that is up, until the block ends."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        console = cls(var, port, **settings)
        try:
            console.start()
            yield console
        finally:
            if console.process.poll() is None:
                console.process.send_signal(signal.SIGINT)
                console.process.wait(60)
            for service in ("postgres", "valkey"):
                shutil.rmtree(socket_folder(var / service), ignore_errors=True)


def is_healthy(url: str) -> bool:
    """Whether a web process answers there."""
    try:
        return httpx.get(f"{url}/healthz").is_success
    except httpx.TransportError:
        return False


def wait_until(is_true: Callable[[], bool], seconds: float = START_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.1)
