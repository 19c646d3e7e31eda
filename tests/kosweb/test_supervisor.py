"""``manage.py up``, started for real: its own folder, its own port, its own database."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import httpx
import psutil
import pytest

from kosweb.embedded.sockets import socket_folder
from tests.consoles import Console, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    with Console.running(tmp_path_factory.mktemp("up")) as console:
        yield console


def test_the_console_answers_with_its_database(console):
    assert httpx.get(f"{console.url}/readyz").json() == {"status": "ok"}


def test_a_second_start_says_that_one_runs(console):
    second = subprocess.run(
        console.command, env=console.environment, capture_output=True, text=True
    )
    assert second.returncode == 1
    assert f"already running: {console.url}" in second.stderr


def test_no_port_is_open_but_the_webs(console):
    found = console.each(lambda process: process.net_connections("inet"))
    ports = {
        connection.laddr.port
        for connections in found.values()
        for connection in connections
        if connection.status == psutil.CONN_LISTEN
    }
    assert ports == {int(console.environment["KOS_PORT"])}


def test_no_process_of_ours_has_loaded_torch(console):
    found = console.each(lambda process: Path(f"/proc/{process.pid}/maps").read_text())
    assert len(found) > 5
    assert not [process for process, maps in found.items() if "libtorch" in maps]


def test_the_web_answers_before_the_workers_start(console):
    began = console.each(psutil.Process.create_time)
    commands = console.each(psutil.Process.cmdline)
    workers = [began[one] for one, command in commands.items() if "celery" in command]
    assert workers
    # Started together they are milliseconds apart; the web's imports alone take a second.
    assert min(workers) - began[console.webs[0]] > 0.5


def test_a_crashed_web_is_started_again_and_said_so(console):
    [web] = console.webs
    web.kill()
    console.wait_for("web ended with code -9; starting it again")
    wait_until(console.is_healthy)


def test_a_backup_of_the_running_console_begins_another(console, tmp_path):
    kept, var = tmp_path / "kept", tmp_path / "var"
    made = console.manage("backup", str(kept))
    assert (made.returncode, f"{kept} is whole" in made.stdout) == (0, True), made.stderr
    restored = console.manage("restore", str(kept), KOS_VAR=str(var))
    assert (restored.returncode, "PostgreSQL is started" in restored.stdout) == (0, True), restored
    again = console.manage("restore", str(kept), KOS_VAR=str(var))
    assert "tables already, and nothing is ever overwritten" in again.stderr
    shutil.rmtree(socket_folder(var / "postgres"), ignore_errors=True)


def test_kill_9_leaves_no_orphan_and_the_next_start_works(console):
    family = console.family
    console.process.kill()
    console.process.wait()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []
    console.start()


def test_ctrl_c_stops_everything_in_order(console):
    family = console.family
    console.process.send_signal(signal.SIGINT)
    assert console.process.wait(60) == 0
    assert console.said.read_text().endswith("stopped\n")
    assert not any(process.is_running() for process in family)
