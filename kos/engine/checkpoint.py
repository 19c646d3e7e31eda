"""Checkpoint files: whole or not there, even when the machine loses power between two bytes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write ``state`` beside ``path``, flush it to the disk, then put it in place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(".writing")
    with written.open("wb") as file:
        torch.save(dict(state), file)
        file.flush()
        os.fsync(file.fileno())
    written.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_state(path: Path) -> dict[str, Any]:
    """What ``write_state`` wrote; tensors and plain values only."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
