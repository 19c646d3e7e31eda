"""What a machine has and how busy it is: cores, memory, disk and GPUs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psutil
from django.conf import settings

QUERY = ("index", "name", "memory.used", "memory.total", "utilization.gpu", "temperature.gpu")
NAMES = ("index", "name", "memory_used", "memory_total", "utilisation", "temperature")
MIB = 1024**2
# A driver that hangs must not hold up the worker's other words.
TIMEOUT_SECONDS = 3


def look() -> dict[str, Any]:
    """The machine as it is now; sizes in bytes, shares in percent."""
    memory = psutil.virtual_memory()
    disk = shutil.disk_usage(_existing(Path(settings.ARTIFACTS)))
    return {
        "cores": len(os.sched_getaffinity(0)),
        # Since the last look, so the first one says 0.
        "cpu": psutil.cpu_percent(),
        "memory_used": memory.total - memory.available,
        "memory_total": memory.total,
        "disk_used": disk.used,
        "disk_total": disk.total,
        "gpus": gpus(),
    }


def gpus() -> list[dict[str, Any]]:
    """Every GPU as nvidia-smi shows it; none where it is not there or does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader,nounits"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        return []
    return [gpu for line in found.stdout.splitlines() if (gpu := gpu_of(line)) is not None]


def gpu_of(line: str) -> dict[str, Any] | None:
    """A line of nvidia-smi; a number that the card does not tell is None."""
    words = [word.strip() for word in line.split(",")]
    if len(words) != len(NAMES) or not words[0].isdecimal():
        return None
    gpu: dict[str, Any] = dict(zip(NAMES, words, strict=True))
    for name in ("index", "memory_used", "memory_total", "utilisation", "temperature"):
        gpu[name] = int(gpu[name]) if gpu[name].isdecimal() else None
    for name in ("memory_used", "memory_total"):
        gpu[name] = gpu[name] * MIB if gpu[name] is not None else None
    return gpu


def _existing(path: Path) -> Path:
    """The folder, or the nearest above it that is there already."""
    return next(one for one in (path, *path.parents) if one.exists())
