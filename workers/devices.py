"""The device of this worker, and what its jobs' processes are told of it.

One worker a device: ``KOS_DEVICE`` is ``cpu`` or ``cuda:0``, ``cuda:1``, ...
"""

from __future__ import annotations

import os
import socket

from django.conf import settings

from kos.errors import UserError

# A job sees no database, no broker and no tracker.
SECRETS = (
    "DATABASE_URL",
    "DATABASE_PASSWORD",
    "REDIS_URL",
    "KOS_SECRET_KEY",
    "WANDB_API_KEY",
    "MLFLOW_TRACKING_",
    "TRACKIO_",
)


def host() -> str:
    """The machine of this worker."""
    return socket.gethostname()


def name() -> str:
    """The device of this worker."""
    device: str = settings.DEVICE
    return device


def worker_name() -> str:
    """Who holds a run: machine, process and device."""
    return f"{host()}:{os.getpid()} {name()}"


def environment() -> dict[str, str]:
    """The environment of a job's process: it sees its own device and no other."""
    threads = str(settings.THREADS)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SECRETS)}
    return kept | {
        "CUDA_VISIBLE_DEVICES": visible_devices(name()),
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
    }


def visible_devices(device: str) -> str:
    """What CUDA_VISIBLE_DEVICES says for ``cpu`` or ``cuda:N``."""
    if device == "cpu":
        return ""
    name, _, index = device.partition(":")
    if name != "cuda" or not index.isdecimal():
        raise UserError(f"KOS_DEVICE is {device!r}; cpu, cuda:0, cuda:1 ... would do")
    return index
