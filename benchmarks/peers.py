"""Environments of the peers that Kos is measured against: each its own, made once and kept."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(os.environ.get("KOS_VAR", Path(__file__).resolve().parent.parent / "var")) / "peers"


def python_with(*requirements: str) -> Path:
    """A Python that has ``requirements`` and not Kos's packages; installed at the first call."""
    named = hashlib.sha256(" ".join(sorted(requirements)).encode()).hexdigest()[:12]
    folder = ROOT / f"{requirements[0].partition('=')[0]}-{named}"
    python = folder / "bin" / "python"
    if not (folder / "made").exists():
        print(f"installing {', '.join(requirements)} ...", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *requirements], check=True)
        (folder / "made").touch()
    return python
