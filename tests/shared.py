"""Data that is not in the project: tests that need it find it beside the checkout, or skip."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def shared(name: str) -> Path:
    """The file ``name`` below KOS_SHARED, by default ``../shared/data``."""
    folder = Path(os.environ.get("KOS_SHARED", ROOT.parent / "shared" / "data"))
    if not (folder / name).exists():
        pytest.skip(f"{name} is not beside this checkout")
    return folder / name
