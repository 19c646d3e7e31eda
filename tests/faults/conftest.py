from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.workers.conftest import make_job

__all__ = ["make_job"]


class SmallDisk:
    """A disk of a few megabytes: ``fill`` leaves so many bytes free, ``clear`` makes room."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ballast = folder / "ballast"

    def fill(self, leaving: int = 0) -> None:
        found = os.statvfs(self.folder)
        free = found.f_bavail * found.f_frsize
        self.ballast.write_bytes(bytes(max(0, free - leaving)))

    def clear(self) -> None:
        self.ballast.unlink()


@contextmanager
def mounted(folder: Path, megabytes: int):
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a disk of its own takes root and a kernel that lets it mount")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path):
    with mounted(tmp_path / "disk", 8) as disk:
        yield disk
