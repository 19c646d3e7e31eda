"""Files as they are published: plain, gzip, zip, zips in a zip; read as streams, with a limit.

A compressed file says nothing of what it grows to. Each entry may grow to 20 GB, and to 200
times its packed size beyond the first 100 MB: what public dumps do not reach and bombs pass at
once.
"""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, cast

from kos.errors import UserError

GB = 1_000_000_000
MAX_BYTES = 20 * GB
FREE_BYTES = GB // 10
MAX_RATIO = 200
MAX_ENTRIES = 500_000
# A zip in a zip is held in memory: DailyMed's labels with their pictures.
MAX_INNER_BYTES = GB // 4
# zipfile believes the places that a directory names: seeking to them raises whatever it raises.
BROKEN = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError),
    *(ValueError, OverflowError, struct.error),
)


class Entry(NamedTuple):
    """One file, in a container or alone; ``file`` is open while its turn lasts."""

    name: str
    file: IO[bytes]


class Bounded(io.RawIOBase):
    """A stream that ends with a sentence when it gives more than it may."""

    def __init__(self, inner: IO[bytes], name: str, *, packed_bytes: int) -> None:
        self._inner = inner
        self._name = name
        self._limit = min(MAX_BYTES, max(FREE_BYTES, packed_bytes * MAX_RATIO))
        self.num_bytes = 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: object) -> int:
        """Fill ``buffer``; UserError once the limit is passed or the data is broken."""
        view = memoryview(cast(bytearray, buffer))
        try:
            data = self._inner.read(len(view))
        except BROKEN as error:
            raise UserError(f"{self._name} is broken: {error}.") from error
        self.num_bytes += len(data)
        if self.num_bytes > self._limit:
            raise UserError(
                f"{self._name} unpacks to more than {self._limit / 1e6:.0f} MB, far beyond what"
                " such a file holds. It was not read further."
            )
        view[: len(data)] = data
        return len(data)


def read_entries(path: Path, suffixes: tuple[str, ...]) -> Iterator[Entry]:
    """The files in ``path`` whose names end with one of ``suffixes``, in their order.

    UserError when ``path`` is not there, is broken, or holds none of them.
    """
    if not path.is_file():
        raise UserError(f"There is no file {path}.")
    found = False
    for entry in _entries(path, suffixes):
        found = True
        yield entry
    if not found:
        raise UserError(f"{path.name} holds no {' or '.join(suffixes)} file.")


def _entries(path: Path, suffixes: tuple[str, ...]) -> Iterator[Entry]:
    name = path.name.lower()
    if name.endswith((".zip", ".whl")):
        with _broken_as_sentence(path.name), zipfile.ZipFile(path) as archive:
            yield from _zipped(archive, suffixes, within=path.name)
    elif name.endswith(".gz"):
        with gzip.open(path) as file:
            yield _bounded(cast("IO[bytes]", file), path.name, path.stat().st_size)
    elif name.endswith(suffixes):
        with path.open("rb") as file:
            yield _bounded(file, path.name, path.stat().st_size)


def _zipped(
    archive: zipfile.ZipFile, suffixes: tuple[str, ...], *, within: str, is_inner: bool = False
) -> Iterator[Entry]:
    infos = archive.infolist()
    if len(infos) > MAX_ENTRIES:
        raise UserError(f"{within} has {len(infos)} entries; at most {MAX_ENTRIES} are read.")
    for info in infos:
        name = f"{within}: {info.filename}"
        if info.filename.lower().endswith(suffixes):
            with _broken_as_sentence(name), archive.open(info) as file:
                yield _bounded(file, name, info.compress_size)
        elif info.filename.lower().endswith(".zip") and not is_inner:
            with _broken_as_sentence(name), zipfile.ZipFile(_held(archive, info, name)) as inner:
                yield from _zipped(inner, suffixes, within=name, is_inner=True)


def _held(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> io.BytesIO:
    if info.file_size > MAX_INNER_BYTES:
        raise UserError(
            f"{name} has {info.file_size / 1e6:.0f} MB; at most {MAX_INNER_BYTES / 1e6:.0f} MB"
            " are taken."
        )
    with archive.open(info) as file:
        # The size in the directory may lie: never more than the cap is read.
        data = file.read(MAX_INNER_BYTES + 1)
    if len(data) > MAX_INNER_BYTES:
        raise UserError(f"{name} is bigger than its directory says.")
    return io.BytesIO(data)


def _bounded(file: IO[bytes], name: str, packed_bytes: int) -> Entry:
    stream = io.BufferedReader(Bounded(file, name, packed_bytes=packed_bytes), 1 << 16)
    return Entry(name, cast("IO[bytes]", stream))


@contextmanager
def _broken_as_sentence(name: str) -> Iterator[None]:
    try:
        yield
    except BROKEN as error:
        raise UserError(f"{name} is broken: {error}.") from error
    except RuntimeError as error:  # zipfile's own for an entry with a password
        raise UserError(f"{name} cannot be read: {error}.") from error
