"""Runs the application on a port: for the command, and inside a test's process."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from kos.engine.machine import Machine
from kos.engine.server.app import App
from kos.engine.server.policies import Base
from kos.engine.server.service import Service
from kos.engine.server.store import Store

LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Options:
    """What the server serves, and where. ``port`` 0 takes a free one; ``key`` "" asks for none."""

    base: Path
    folder: Path
    name: str
    host: str = "127.0.0.1"
    port: int = 0
    key: str = ""
    alpha: float = 32.0
    max_models: int = 8


def serve(options: Options, machine: Machine) -> None:
    """Serve until interrupted."""
    with _listen(options) as listener:
        asyncio.run(_serve(options, machine, listener, None))


@contextmanager
def running(options: Options, machine: Machine) -> Iterator[str]:
    """The base URL of a server in a thread, until the block ends."""
    with _listen(options) as listener:
        stop = threading.Event()
        thread = threading.Thread(
            target=lambda: asyncio.run(_serve(options, machine, listener, stop)), name="tinker"
        )
        thread.start()
        try:
            host, port = listener.getsockname()[:2]
            yield f"http://{host}:{port}"
        finally:
            stop.set()
            thread.join()


async def _serve(
    options: Options, machine: Machine, listener: socket.socket, stop: threading.Event | None
) -> None:
    base = Base(options.base.resolve(), machine, name=options.name)
    service = Service(
        base, Store(options.folder), alpha=options.alpha, max_models=options.max_models
    )
    # Under another name it is reached from elsewhere, where the key keeps strangers out.
    hosts = LOCAL if options.host in LOCAL else ()
    config = uvicorn.Config(
        App(service, key=options.key, hosts=hosts),
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    watch = asyncio.create_task(_stop_with(server, stop)) if stop is not None else None
    try:
        await server.serve(sockets=[listener])
    finally:
        if watch is not None:
            watch.cancel()
        service.close()


async def _stop_with(server: uvicorn.Server, stop: threading.Event) -> None:
    while not stop.is_set():
        await asyncio.sleep(0.05)
    server.should_exit = True


def _listen(options: Options) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((options.host, options.port))
    listener.listen(128)
    return listener
