"""A ``vllm serve`` process on a Unix socket: start, watch, stop."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from kos.errors import UserError

STOP_SECONDS = 20.0
LOG_TAIL_CHARS = 1500
_PR_SET_PDEATHSIG = 1


def executable() -> Path | None:
    """The ``vllm`` of this environment, or of the PATH; None where it is not installed."""
    beside = Path(sys.executable).with_name("vllm")
    if beside.exists() and importlib.util.find_spec("vllm") is not None:
        return beside
    found = shutil.which("vllm")
    return Path(found) if found else None


def command(program: Path, model: Path, *, name: str, path: Path, max_context: int) -> list[str]:
    """How vLLM is called to serve ``model`` as ``name`` on the Unix socket ``path``."""
    return [
        str(program),
        "serve",
        str(model),
        f"--served-model-name={name}",
        f"--uds={path}",
        f"--max-model-len={max_context}",
    ]


@dataclass(frozen=True)
class VllmServer:
    """A running process; ``check`` raises when it ended."""

    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise ``UserError`` with the end of the log when the process has ended."""
        if (code := self.process.poll()) is not None:
            tail = self.log.read_text(errors="replace")[-LOG_TAIL_CHARS:].strip()
            raise UserError(f"vLLM ended with code {code}. The end of its log:\n{tail}")

    def close(self) -> None:
        """Ask it to end, then end it and what it started."""
        family = self._family()
        for process in family[:1]:
            process.terminate()
        _, left = psutil.wait_procs(family, timeout=STOP_SECONDS)
        for process in left:
            process.kill()
        self.process.wait()

    def _family(self) -> list[psutil.Process]:
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


@contextmanager
def serve(
    program: Path, model: Path, *, name: str, path: Path, max_context: int, log: Path
) -> Iterator[VllmServer]:
    """Run vLLM until the block ends; what it prints goes to the file ``log``."""
    path.unlink(missing_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(
            command(program, model, name=name, path=path, max_context=max_context),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | {"VLLM_NO_USAGE_STATS": "1"},
            preexec_fn=_die_with_parent,
        )
    server = VllmServer(process, log)
    try:
        yield server
    finally:
        server.close()
        path.unlink(missing_ok=True)


def _die_with_parent() -> None:
    """A server must not outlive a job that was killed: it would hold the GPU."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
