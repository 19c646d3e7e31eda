"""A console for a benchmark alone: the real ASGI application on an embedded PostgreSQL."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
WEB = ("kosweb.web",)


@contextmanager
def database(*, has_pages: bool = True) -> Iterator[Path]:
    """An empty, migrated database of its own, and Django at work on it; yields its folder.

    Without pages the static files are not collected.
    """
    with tempfile.TemporaryDirectory(prefix="kos-bench-") as name:
        folder = Path(name)
        os.environ |= {"KOS_VAR": name, "KOS_LOG_LEVEL": "WARNING"}
        for variable in ("DATABASE_URL", "REDIS_URL"):
            os.environ.pop(variable, None)
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kosweb.settings")
        from kosweb.embedded import postgres

        server = postgres.Postgres(folder, folder / "postgres.log")
        server.prepare()
        process = server.make()
        process.start()
        try:
            server.wait_ready(process)
            migrate(has_pages=has_pages)
            yield folder
        finally:
            process.stop()


def migrate(*, has_pages: bool = True) -> None:
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    from kosweb import static_files

    call_command("migrate", verbosity=0)
    if has_pages:
        static_files.collect()
    else:
        Path(settings.STATIC_ROOT).mkdir()


@contextmanager
def broker(folder: Path) -> Iterator[psutil.Process]:
    """Valkey beside the database in ``folder``; yields its process."""
    from kosweb.embedded import valkey

    child = valkey.make(folder, folder / "valkey.log")
    child.start()
    try:
        valkey.wait_ready(folder, child)
        yield psutil.Process(child.pid)
    finally:
        child.stop()


@contextmanager
def running(module: tuple[str, ...], port: int, log: Path) -> Iterator[psutil.Process]:
    """A Python module that serves ``port``, until the block ends; yields its process."""
    command = [sys.executable, "-m", *module, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)
    try:
        end = time.monotonic() + 60
        while not is_open(port):
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{module[0]} did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.1)
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
