"""Our own processes on one machine: the web, the workers, the reconciler."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace

from django.conf import settings

from kosweb.embedded.process import Child

# Workers wait for their jobs' checkpoints.
GRACE_SECONDS = 30


def programs(listener: int) -> list[Child]:
    """Our own processes, the web's first; it takes connections from the socket ``listener``."""
    web = _program("web", ["kosweb.web", "--socket", str(listener)])
    web = replace(web, lent=[listener], tells=True)
    return [web, *_workers(), _program("reconciler", ["workers.reconcile"])]


def preparation() -> Child:
    """Brings tables and static files up to date, with the code that lies on the disk now."""
    return _program("prepare", ["django", "prepare"], DJANGO_SETTINGS_MODULE="kosweb.settings")


def corpus_builder() -> Child:
    """Builds what the tools search on this machine, once; seconds on the first start."""
    return _program("corpus", ["django", "build_corpus"], DJANGO_SETTINGS_MODULE="kosweb.settings")


def _workers() -> list[Child]:
    """One a queue; for the queue ``gpu`` one a GPU, or the CPU where there is none."""
    devices = [f"cuda:{index}" for index in range(count_gpus())] or ["cpu"]
    workers = [_worker("cpu", "cpu", "cpu"), _worker("serve", "serve", devices[-1])]
    for index, device in enumerate(devices):
        name = "gpu" if len(devices) == 1 else f"gpu-{index}"
        workers.append(_worker(name, "gpu", device))
    return workers


def count_gpus() -> int:
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0
    listing = subprocess.run([program, "-L"], capture_output=True, text=True)
    return sum(line.startswith("GPU ") for line in listing.stdout.splitlines())


def _worker(name: str, queue: str, device: str) -> Child:
    command = ["celery", "-A", "kosweb", "worker", "-Q", queue, "-n", f"{name}@%h"]
    # Threads: a worker only minds its jobs' processes, and can stop at once.
    command += ["-P", "threads", "-c", str(settings.QUEUES[queue])]
    command += ["--without-gossip", "--without-mingle", "-l", "INFO"]
    return _program(f"worker-{name}", command, KOS_DEVICE=device)


def _program(name: str, module: list[str], **environment: str) -> Child:
    return Child(
        name,
        [sys.executable, "-m", *module],
        settings.VAR / "log" / f"{name}.log",
        environment=_environment() | environment,
        folder=settings.ROOT,
        grace_seconds=GRACE_SECONDS,
    )


def _environment() -> dict[str, str]:
    threads = str(settings.THREADS)
    return {
        "KOS_VAR": str(settings.VAR),
        "KOS_THREADS": threads,
        "OMP_NUM_THREADS": threads,
        "OMP_WAIT_POLICY": "passive",
        "PYTHONUNBUFFERED": "1",
        # Without byte code every start takes seconds longer.
        "PYTHONDONTWRITEBYTECODE": "",
    }
