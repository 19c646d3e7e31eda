"""Data files of installed packages, read without importing the packages.

Their ``__init__`` would load all data at once (5 s and 200 MB for ICD-10-CM) or unpickle it.
"""

from __future__ import annotations

import bz2
import pickle
from importlib import metadata
from pathlib import Path
from typing import Any

from kos.errors import UserError


def file_of(distribution: str, name: str) -> Path:
    """Where the file ``name`` of an installed distribution lies."""
    try:
        path = Path(str(metadata.distribution(distribution).locate_file(name)))
    except metadata.PackageNotFoundError as error:
        raise UserError(
            f"The embedded corpus is built from the package {distribution}, which is not"
            " installed. Install Kos's requirements again."
        ) from error
    if not path.exists():
        raise UserError(f"{distribution} {metadata.version(distribution)} has no file {name}.")
    return path


class _PlainUnpickler(pickle.Unpickler):
    """Reads lists, dictionaries, text and numbers; refuses to build anything else."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} in what should be plain data")


def read_pickle(path: Path) -> dict[str, Any]:
    """The plain data of a bzip2-compressed pickle; UnpicklingError when it holds more than that."""
    with bz2.open(path) as file:
        found: dict[str, Any] = _PlainUnpickler(file).load()
    return found
