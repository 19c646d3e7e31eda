"""Files from one folder to another, hashed on the way and on the disk before they count."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

CHUNK_BYTES = 4 * 2**20
Count = Callable[[int], None]


def copy(source: Path, target: Path, count: Count) -> str:
    """Copy ``source`` and return its SHA-256; a link's target is copied, not the link."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with source.open("rb") as read, target.open("wb") as written:
        for chunk in chunks(read):
            digest.update(chunk)
            written.write(chunk)
            count(len(chunk))
        written.flush()
        os.fsync(written.fileno())
    return digest.hexdigest()


def link(source: Path, target: Path, count: Count) -> str:
    """A second name for ``source`` where the disk allows it, else a copy; returns its SHA-256."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
        return copy(source, target, count)
    return digest_of(target, count)


def digest_of(path: Path, count: Count) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as read:
        for chunk in chunks(read):
            digest.update(chunk)
            count(len(chunk))
    return digest.hexdigest()


def files_in(place: Path) -> list[Path]:
    """The files of an artifact, which is one itself or a folder of them."""
    if place.is_file():
        return [place]
    return sorted(path for path in place.rglob("*") if path.is_file())


def folder_digest(place: Path, digests: dict[Path, str]) -> str:
    """What ``kos.digests`` calls an artifact of these files."""
    if place in digests:
        return digests[place]
    # By path, not by text: that is how they are sorted there.
    lines = (
        f"{digests[path]}  {path.relative_to(place).as_posix()}\n" for path in sorted(digests)
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
