"""SHA-256 over a file or a folder, so that an artifact can be told from any other."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple


class Digest(NamedTuple):
    """A content hash (64 hex digits) and the size of what was hashed."""

    sha256: str
    size_bytes: int


def text_digest(*texts: str) -> str:
    """SHA-256 (64 hex digits) over texts; where one ends and the next begins counts."""
    parts = (text.encode() for text in texts)
    return hashlib.sha256(b"".join(b"%d:%s" % (len(part), part) for part in parts)).hexdigest()


def digest_of(path: Path) -> Digest:
    """Hash a file, or a folder by its files' relative paths and contents.

    A folder's hash is over the lines ``<sha256>  <path>`` sorted by path, as ``sha256sum``
    writes them; times and permissions do not count. Raises FileNotFoundError.
    """
    if path.is_file():
        return _file_digest(path)
    if not path.is_dir():
        raise FileNotFoundError(path)
    lines, size_bytes = [], 0
    for file in sorted(found for found in path.rglob("*") if found.is_file()):
        digest = _file_digest(file)
        lines.append(f"{digest.sha256}  {file.relative_to(path).as_posix()}\n")
        size_bytes += digest.size_bytes
    return Digest(hashlib.sha256("".join(lines).encode()).hexdigest(), size_bytes)


def _file_digest(path: Path) -> Digest:
    with path.open("rb") as file:
        return Digest(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)
