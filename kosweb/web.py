"""The web process: ``python -m kosweb.web --host H --port P``, or on a socket lent to it.

    python -m kosweb.web --socket FD --ready FD

The supervisor lends its listening socket, so no connection is refused while one process takes
over from another, or while one that crashed is started again: they wait in its queue.
SIGTERM stops soon. SIGHUP leaves to a successor: no new connection is taken, whoever asks on an
old one is told to close it, streams and answers go on for ``DRAIN_SECONDS``, and sockets are told
at the end to connect again (1012).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import socket
import sys
import time
from types import FrameType
from typing import Any

import uvicorn
from django.conf import settings
from django.urls import resolve

from kos.errors import UserError

BACKLOG = 2048
# How long a thread that waits for the interpreter is kept waiting. Python's 5 ms, behind a busy
# event loop, make a query of a thread ten times as long: it waits anew after each of its packets.
SWITCH_SECONDS = 0.0005
STOP_SECONDS = 5
# Longer than a connection without a request is kept (uvicorn's five seconds).
IDLE_SECONDS = 6.0
LOOK_SECONDS = 0.1
MOST_SOCKET_BYTES = 2**20


class Web(uvicorn.Server):
    """uvicorn, that says when it is ready and can leave to a successor."""

    def __init__(
        self, config: uvicorn.Config, *, ready: int | None = None, drain_seconds: float
    ) -> None:
        super().__init__(config)
        self.ready = ready
        self.drain_seconds = drain_seconds
        self.is_leaving = False
        self.is_hurried = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.leave)
        if self.ready is not None:
            os.write(self.ready, b"1")
            os.close(self.ready)

    def leave(self) -> None:
        self.is_leaving = self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Kos stops as a whole: there is no successor any more."""
        self.is_hurried = True
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.is_leaving:
            end = time.monotonic() + self.drain_seconds
            await self._drain(end)
            # What streams still, after that, is cut when the time is up.
            if not self.is_hurried:
                self.config.timeout_graceful_shutdown = max(1, int(end - time.monotonic()))
        await super().shutdown(sockets)

    async def _drain(self, end: float) -> None:
        for server in self.servers:
            server.close()
        state = self.server_state
        state.default_headers = [*state.default_headers, (b"connection", b"close")]
        idle = time.monotonic() + IDLE_SECONDS
        while time.monotonic() < end and not self.is_hurried:
            has_asked = bool(state.connections) and time.monotonic() < idle
            if not has_asked and not _is_writing():
                return
            await asyncio.sleep(LOOK_SECONDS)


def _is_writing() -> bool:
    """Whether answers of the playground are being written, which no request waits for."""
    # Only once the application is loaded, which is not this module's work.
    from apps.chat import answers

    return answers.is_writing()


def load() -> Any:
    """The application with all its rooms, which Django would import with the first request.

    What is in memory then stays there, so the collector need not look through it again and
    again: a full collection took 160 ms, in which nobody was answered.
    """
    from kosweb.asgi import application

    resolve("/healthz")
    gc.collect()
    gc.freeze()
    return application


def listen(host: str, port: int) -> socket.socket:
    """The socket that web processes take connections from, one after the other."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise UserError(f"port {port} cannot be had ({error}); set KOS_PORT") from error


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default=settings.HOST)
    parser.add_argument("--port", type=int, default=settings.PORT)
    parser.add_argument("--socket", type=int, help="A listening socket's descriptor.")
    parser.add_argument("--ready", type=int, help="A descriptor to write to, once it answers.")
    given = parser.parse_args()
    sys.setswitchinterval(SWITCH_SECONDS)
    config = uvicorn.Config(
        load,
        factory=True,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
        ws_max_size=MOST_SOCKET_BYTES,
    )
    server = Web(config, ready=given.ready, drain_seconds=settings.DRAIN_SECONDS)
    # Of the socket's own family, which uvicorn's --fd takes for a Unix one.
    lent = given.socket is not None
    listener = socket.socket(fileno=given.socket) if lent else listen(given.host, given.port)
    server.run(sockets=[listener])


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kosweb.settings")
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
