"""The vLLM server behind a training: one that runs elsewhere, or one of our own."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import httpx

from kos.errors import UserError
from kos.serving.client import connect_sync, is_listening, socket_url
from kos.serving.vllm import Served, VllmServer, executable, serve

# vLLM compiles and captures graphs before it answers; on a busy machine that takes minutes.
START_SECONDS = 900.0


class Elsewhere:
    """A server that somebody else keeps; only its adapters are ours."""

    can_restart = False

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = key

    def start(self, adapter: Path, name: str) -> None:
        """It runs already."""
        raise AssertionError(f"{self.url} is not ours to start")

    def check(self) -> None:
        """Raise UserError when it does not answer."""
        try:
            with connect_sync(self.url, key=self.key, silence_seconds=10) as http:
                http.get("/health").raise_for_status()
        except httpx.HTTPError as error:
            raise UserError(
                f"the sampler's server at {self.url} does not answer ({type(error).__name__})"
            ) from error

    def close(self) -> None:
        """It goes on."""


class Own:
    """A server on a Unix socket, started with the first adapter and ended with the training."""

    key = ""
    can_restart = True

    def __init__(
        self, base: Path, folder: Path, *, max_context: int, precision: str, gpu_share: float
    ) -> None:
        program = executable()
        if program is None:
            raise UserError(
                "vLLM is not installed here (make vllm); give the address of a server, or let "
                "the engine sample itself"
            )
        self._program = program
        self._base = base
        self._log = folder / "vllm.log"
        self._path = folder / "vllm.sock"
        self._max_context = max_context
        self._precision = precision
        self._gpu_share = gpu_share
        self._stack = ExitStack()
        self._server: VllmServer | None = None
        self.url = socket_url(self._path)

    def start(self, adapter: Path, name: str) -> None:
        """A fresh process with ``adapter`` loaded as ``name``."""
        self.close()
        served = Served(
            self._base,
            name,
            self._max_context,
            adapter=adapter,
            precision=self._precision,
            is_hot=True,
            options=(f"--gpu-memory-utilization={self._gpu_share:g}",),
        )
        running = serve(self._program, served, path=self._path, log=self._log)
        self._server = self._stack.enter_context(running)
        self._wait()

    def check(self) -> None:
        """Raise what ended it."""
        if self._server is not None:
            self._server.check()

    def close(self) -> None:
        """End the process."""
        self._server = None
        self._stack.close()

    def _wait(self) -> None:
        ends = time.monotonic() + START_SECONDS
        while time.monotonic() < ends:
            self.check()
            if is_listening(self.url):
                with connect_sync(self.url, silence_seconds=10) as http:
                    if http.get("/health").is_success:
                        return
            time.sleep(0.5)
        raise UserError(f"vLLM did not answer within {START_SECONDS:g} s; its log is {self._log}")
