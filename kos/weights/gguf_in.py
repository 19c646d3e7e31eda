"""Reading a GGUF file that somebody else may have made: its header is walked before it is trusted.

The ``gguf`` package believes every count it reads: an array of 2^60 values, of which the file
holds none, keeps it busy for ever and fills the memory. What passes here it reads at once.

Layout: magic, version, counts of tensors and of keys; the keys with their values; name, shape,
type and offset of each tensor; then their bytes. Everything little-endian.
Source: ggml, docs/gguf.md; gguf 0.19, gguf_reader.py.
"""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import gguf
from gguf.constants import GGML_QUANT_SIZES, GGUF_DEFAULT_ALIGNMENT

from kos.errors import UserError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
# A text of a key or of a token; chat templates are the longest, a few hundred kB at most.
MAX_TEXT_BYTES = 16_000_000
# Values of all arrays together, each of which costs the package some hundred bytes: four arrays
# of a vocabulary of a million.
MAX_VALUES = 4_000_000
MAX_DIMENSIONS = 4
UINT32, STRING, ARRAY = 4, 8, 9
# Bytes of each plain type, by its number.
WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
ALIGNMENT = "general.alignment"


class Place(NamedTuple):
    """Where a tensor's bytes lie, counted from the end of the header."""

    name: str
    start: int
    size_bytes: int


def tensors(path: Path) -> dict[str, Any]:
    """The package's own tensors by name; raises ``UserError`` as ``check`` does."""
    check(path)
    return {one.name: one for one in gguf.GGUFReader(path).tensors}


def check(path: Path) -> None:
    """Raise ``UserError`` that names the file unless its header says where all its bytes belong."""
    with path.open("rb") as file:
        _Walk(file, path.name).check()


class _Walk:
    """One pass over a header, never beyond the end of the file."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._size = os.fstat(file.fileno()).st_size
        self._num_values = 0
        self._alignment = GGUF_DEFAULT_ALIGNMENT

    def check(self) -> None:
        if self._take(4, "its magic") != MAGIC:
            raise self._broken("it does not begin with GGUF")
        (version,) = self._numbers("I", "its version")
        if version not in VERSIONS:
            raise self._broken(f"it is of version {version}, and {VERSIONS} are read")
        num_tensors, num_keys = self._numbers("QQ", "its counts")
        keys: set[str] = set()
        for number in range(num_keys):
            self._once(self._key(number), keys)
        names: set[str] = set()
        places = [self._tensor(number, names) for number in range(num_tensors)]
        begin = self._file.tell()
        begin += -begin % self._alignment
        for place in places:
            if begin + place.start + place.size_bytes > self._size:
                raise self._broken(
                    f"{place.name} should end at byte {begin + place.start + place.size_bytes} "
                    f"and the file has {self._size}"
                )

    def _key(self, number: int) -> str:
        key = self._text(f"key {number}")
        (sort,) = self._numbers("I", key)
        if key == ALIGNMENT:
            self._align(sort)
        else:
            self._skip(sort, key)
        return key

    def _align(self, sort: int) -> None:
        if sort != UINT32:
            raise self._broken(f"{ALIGNMENT} is of type {sort}")
        (self._alignment,) = self._numbers("I", ALIGNMENT)
        if self._alignment.bit_count() != 1:
            raise self._broken(f"{ALIGNMENT} is {self._alignment}, which is no power of two")

    def _skip(self, sort: int, key: str) -> None:
        """Pass over a value."""
        if sort == STRING:
            self._text(key)
        elif sort == ARRAY:
            self._skip_array(key)
        elif sort in WIDTHS:
            self._pass(WIDTHS[sort], key)
        else:
            raise self._broken(f"{key} is of type {sort}, which is none of GGUF's")

    def _skip_array(self, key: str) -> None:
        sort, count = self._numbers("IQ", key)
        self._num_values += count
        if self._num_values > MAX_VALUES:
            raise self._broken(f"up to {key} its arrays have more than {MAX_VALUES:,} values")
        if sort in WIDTHS:
            self._pass(count * WIDTHS[sort], key)
        elif sort == STRING:
            for _ in range(count):
                self._text(key)
        else:
            raise self._broken(f"{key} is an array of type {sort}")

    def _tensor(self, number: int, names: set[str]) -> Place:
        name = self._once(self._text(f"tensor {number}"), names)
        (count,) = self._numbers("I", name)
        if not 1 <= count <= MAX_DIMENSIONS:
            raise self._broken(f"{name} has {count} dimensions; 1 to {MAX_DIMENSIONS} are read")
        *shape, sort, start = self._numbers("Q" * count + "IQ", name)
        known = {kind.value: kind for kind in gguf.GGMLQuantizationType}
        if sort not in known:
            raise self._broken(f"{name} is of type {sort}, which is none of GGUF's")
        block, width = GGML_QUANT_SIZES[known[sort]]
        # The first dimension is the fastest: rows of whole blocks.
        if not math.prod(shape) or shape[0] % block or start % self._alignment:
            raise self._broken(
                f"{name} has shape {shape} at byte {start}; {known[sort].name} comes in blocks of "
                f"{block}, at multiples of {self._alignment} bytes"
            )
        return Place(name, start, math.prod(shape) // block * width)

    def _once(self, name: str, known: set[str]) -> str:
        if name in known:
            raise self._broken(f"{name} stands in it twice")
        known.add(name)
        return name

    def _text(self, what: str) -> str:
        (length,) = self._numbers("Q", what)
        if length > MAX_TEXT_BYTES:
            raise self._broken(f"{what} has a text of {length} bytes")
        try:
            return self._take(length, what).decode()
        except UnicodeDecodeError:
            raise self._broken(f"{what} has a text that is no UTF-8") from None

    def _numbers(self, form: str, what: str) -> tuple[int, ...]:
        return struct.unpack(f"<{form}", self._take(struct.calcsize(f"<{form}"), what))

    def _take(self, length: int, what: str) -> bytes:
        found = self._file.read(length)
        if len(found) != length:
            raise self._broken(f"it ends inside {what[:80]}")
        return found

    def _pass(self, length: int, what: str) -> None:
        if self._file.tell() + length > self._size:
            raise self._broken(f"it ends inside {what[:80]}")
        self._file.seek(length, os.SEEK_CUR)

    def _broken(self, why: str) -> UserError:
        return UserError(f"{self._name} is no GGUF file that can be read: {why}. Fetch it again")
