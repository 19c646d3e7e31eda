"""One target under atheris, in a process of its own; started by ``python -m tests.fuzz``."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import atheris

# Large, and loaded at the first value that is read: its import would count as that input's time.
import torch  # noqa: F401

# What is imported here is watched: our own readers, and those of the libraries that they trust.
with atheris.instrument_imports(include=["kos", "json", "gguf", "yaml", "zipfile", "gzip"]):
    from tests.fuzz import targets


def main(name: str, kept: Path) -> None:
    # Loops that are compiled at their first call are so before the clock runs.
    for seed in targets.seeds(name):
        targets.give(name, seed)

    def watched(data: bytes) -> None:
        try:
            targets.give(name, data)
        except BaseException:
            # atheris keeps what is slow or large, and not what raises.
            (kept / f"crash-{hashlib.sha1(data, usedforsecurity=False).hexdigest()}").write_bytes(
                data
            )
            raise

    atheris.Setup(sys.argv, watched)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv.pop(1), Path(sys.argv.pop(1)))
