"""Files that are whole or not there, even when the machine loses power between two bytes."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

FULL = (errno.ENOSPC, errno.EDQUOT)
# Libraries that write by themselves (torch, safetensors) say it in words alone.
FULL_WORDS = ("No space left on device", "os error 28", "file write failed")


@contextmanager
def replace_when_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes ``path``'s place, on disk, once the block ends without error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    with partial.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def no_room(error: BaseException, folder: Path) -> str:
    """What to tell when ``error`` came of a full disk below ``folder``; "" when it did not."""
    found: BaseException | None = error
    while found is not None and not _is_full(found):
        found = found.__cause__ or found.__context__
    if found is None:
        return ""
    standing = next(one for one in (folder, *folder.parents) if one.exists())
    free = shutil.disk_usage(standing).free / 2**20
    return (
        f"the disk that holds {folder} is full ({free:,.0f} MiB free): make room and resume; "
        "what was finished before stays"
    )


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in FULL
    return any(words in str(error) for words in FULL_WORDS)
