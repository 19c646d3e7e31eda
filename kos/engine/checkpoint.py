"""Checkpoint files of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from kos.files import replace_when_whole


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write ``state`` to the file ``path``, whole or not at all."""
    with replace_when_whole(path) as file:
        torch.save(dict(state), file)


def read_state(path: Path) -> dict[str, Any]:
    """What ``write_state`` wrote; tensors and plain values only."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
