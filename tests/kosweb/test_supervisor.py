"""``manage.py up``, started for real: its own folder, its own port, its own database."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
from django.conf import settings

from kosweb.embedded.sockets import socket_folder

pytestmark = pytest.mark.slow

START_SECONDS = 120


class Console:
    """A running ``manage.py up`` and what it has said."""

    def __init__(self, var: Path, port: int) -> None:
        self.var = var
        self.url = f"http://127.0.0.1:{port}"
        self.environment = os.environ | {"KOS_VAR": str(var), "KOS_PORT": str(port)}
        for name in ("DATABASE_URL", "DJANGO_SETTINGS_MODULE"):
            self.environment.pop(name, None)

    def start(self) -> None:
        self.said = self.var / "said.txt"
        with self.said.open("w") as said:
            self.process = psutil.Popen(
                self.command, env=self.environment, stdout=said, stderr=said
            )
        self.wait_for("Kos is ready")

    @property
    def command(self) -> list[str]:
        return [sys.executable, str(settings.ROOT / "manage.py"), "up"]

    @property
    def family(self) -> list[psutil.Process]:
        return self.process.children(recursive=True)

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + START_SECONDS
        while text not in self.said.read_text():
            assert self.process.poll() is None, self.said.read_text()
            assert time.monotonic() < end, self.said.read_text()
            time.sleep(0.1)

    def is_healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz").is_success
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    console = Console(tmp_path_factory.mktemp("up"), port)
    console.start()
    yield console
    if console.process.poll() is None:
        console.process.send_signal(signal.SIGINT)
        console.process.wait(60)
    for service in ("postgres", "valkey"):
        shutil.rmtree(socket_folder(console.var / service), ignore_errors=True)


def test_the_console_answers_with_its_database(console):
    assert httpx.get(f"{console.url}/readyz").json() == {"status": "ok"}


def test_a_second_start_says_that_one_runs(console):
    second = subprocess.run(
        console.command, env=console.environment, capture_output=True, text=True
    )
    assert second.returncode == 1
    assert f"already running: {console.url}" in second.stderr


def test_no_port_is_open_but_the_webs(console):
    ports = {
        connection.laddr.port
        for process in console.family
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert ports == {int(console.environment["KOS_PORT"])}


def test_no_process_of_ours_has_loaded_torch(console):
    for process in console.family:
        maps = Path(f"/proc/{process.pid}/maps").read_text()
        assert "libtorch" not in maps, process.cmdline()


def test_a_crashed_web_is_started_again_and_said_so(console):
    [web] = [process for process in console.family if "uvicorn" in process.cmdline()]
    web.kill()
    console.wait_for("web ended with code -9; starting it again")
    end = time.monotonic() + START_SECONDS
    while not console.is_healthy():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_kill_9_leaves_no_orphan_and_the_next_start_works(console):
    family = console.family
    console.process.kill()
    console.process.wait()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
    console.start()


def test_ctrl_c_stops_everything_in_order(console):
    family = console.family
    console.process.send_signal(signal.SIGINT)
    assert console.process.wait(60) == 0
    assert console.said.read_text().endswith("stopped\n")
    assert not any(process.is_running() for process in family)
