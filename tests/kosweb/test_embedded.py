from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from kosweb.embedded import postgres, sockets, valkey
from kosweb.embedded.process import BOUND, Child, bound
from kosweb.web import listen


@pytest.fixture(autouse=True)
def tidy(tmp_path):
    """What lies outside the test's folder, since root's is closed to others."""
    yield
    for service in (tmp_path / "postgres", tmp_path / "valkey"):
        shutil.rmtree(sockets.socket_folder(service), ignore_errors=True)
        shutil.rmtree(f"/var/tmp/kos-{sockets.name_of(service)}", ignore_errors=True)


@pytest.fixture
def server(tmp_path):
    """A cluster of its own, made but not started."""
    server = postgres.Postgres(tmp_path, tmp_path / "log", is_durable=False)
    server.prepare()
    return server


def is_alive(pid: int) -> bool:
    return (
        Path(f"/proc/{pid}").exists()
        and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    )


def wait_until(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)


def test_a_fresh_server_answers_on_its_socket_only(server, tmp_path):
    child = server.make()
    child.start()
    server.wait_ready(child)
    with psycopg.connect(postgres.url(tmp_path)) as connection:
        assert connection.execute("show listen_addresses").fetchone() == ("",)
    child.stop()
    assert child.exit_code == 0


def test_nobody_else_can_reach_the_socket(server):
    assert server.sockets.stat().st_mode & 0o077 == 0


def test_a_cluster_that_stands_is_not_made_again(server):
    assert server.prepare() is False


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to step down")
def test_root_becomes_nobody_where_namespaces_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(postgres, "_allows_namespaces", lambda: False)
    server = postgres.Postgres(tmp_path, tmp_path / "log", is_durable=False)
    server.prepare()
    child = server.make()
    child.start()
    server.wait_ready(child)
    assert Path(f"/proc/{child.pid}").stat().st_uid != 0
    child.stop()


def test_a_pid_file_that_names_a_stranger_is_removed(server):
    file = server.data / "postmaster.pid"
    file.write_text(f"{os.getpid()}\n")
    server.prepare()
    assert not file.exists()


def test_a_second_server_on_the_same_data_is_refused(server, monkeypatch):
    child = server.make()
    child.start()
    server.wait_ready(child)
    monkeypatch.setattr(postgres, "STALE_SECONDS", 0)
    with pytest.raises(postgres.UserError, match="already serves"):
        server.prepare()
    child.stop()


def test_a_server_that_cannot_start_shows_the_end_of_its_log(server):
    (server.data / "postgresql.conf").write_text("nonsense\n")
    child = server.make()
    child.start()
    with pytest.raises(postgres.UserError, match="syntax error"):
        server.wait_ready(child)


def test_a_long_path_gets_a_short_socket():
    folder = sockets.socket_folder(Path("/home/somebody") / ("long" * 30))
    assert len(str(folder)) < sockets.LONGEST_FOLDER


def test_valkey_answers_on_its_socket(tmp_path):
    child = valkey.make(tmp_path, tmp_path / "log")
    child.start()
    valkey.wait_ready(tmp_path, child)
    assert valkey.socket(tmp_path).is_socket()
    child.stop()
    assert child.exit_code == 0


def test_a_child_that_does_not_listen_is_killed(tmp_path):
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    child = Child("deaf", [sys.executable, "-c", deaf], tmp_path / "log", grace_seconds=0.2)
    child.start()
    wait_until(lambda: (tmp_path / "log").read_text())
    child.stop()
    assert child.exit_code == -signal.SIGKILL


def test_a_child_dies_with_its_parent():
    code = (
        "import subprocess, time; from kosweb.embedded.process import bound;"
        "print(subprocess.Popen(bound(['/bin/sleep', '60'])).pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    wait_until(lambda: b"60" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[-2:])
    parent.kill()
    parent.communicate()
    wait_until(lambda: not is_alive(child))


def test_a_child_whose_parent_is_gone_never_starts():
    command = bound(["/bin/true"])
    command[command.index(str(BOUND)) + 1] = "1"
    assert subprocess.run(command, capture_output=True).returncode == 1


def test_a_taken_port_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(postgres.UserError, match=f"port {port}.*KOS_PORT"):
            listen("127.0.0.1", port)
