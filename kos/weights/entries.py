"""What lies in a folder of safetensors, from the headers of its files alone.

No torch here: the page that previews a merge reads a folder of half a terabyte with this. Values
are read when asked for, and torch is loaded then.

File format: 8 bytes little-endian header length, JSON header, then the tensors' bytes.
Source: https://huggingface.co/docs/safetensors (format).
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kos.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

INDEX = "model.safetensors.index.json"
# torch's name of each type that safetensors names, and the bytes of a value.
TYPES = {
    "F64": ("float64", 8),
    "F32": ("float32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "F8_E4M3": ("float8_e4m3fn", 1),
    "F8_E5M2": ("float8_e5m2", 1),
    "F8_E8M0": ("float8_e8m0fnu", 1),
    "I64": ("int64", 8),
    "I32": ("int32", 4),
    "I16": ("int16", 2),
    "I8": ("int8", 1),
    "U64": ("uint64", 8),
    "U32": ("uint32", 4),
    "U16": ("uint16", 2),
    "U8": ("uint8", 1),
    "BOOL": ("bool", 1),
}
# safetensors itself reads no longer header.
HEADER_MAX = 100_000_000
MAX_DIMENSIONS = 32
# Of a tensor without values: no bytes of the file bound what it claims.
MAX_EMPTY = 10_000_000
FILE_NAME = re.compile(r"[\w-][\w. +@=-]{0,200}")


@dataclass(frozen=True)
class Entry:
    """Where a stored tensor lies: byte ``start`` of ``file``; ``code`` is its type ("BF16")."""

    name: str
    code: str
    shape: tuple[int, ...]
    file: Path
    start: int

    @property
    def dtype(self) -> torch.dtype:
        """Its type in torch."""
        import torch  # the web process reads headers and must not pay for it

        found: torch.dtype = getattr(torch, TYPES[self.code][0])
        return found

    @property
    def size_bytes(self) -> int:
        """Bytes of its values."""
        return math.prod(self.shape) * TYPES[self.code][1]

    def part(self, name: str, first_row: int, shape: tuple[int, ...]) -> Entry:
        """Some rows of it as a tensor of their own; rows run over all dimensions but the last."""
        start = self.start + first_row * self.shape[-1] * TYPES[self.code][1]
        return Entry(name, self.code, shape, self.file, start)

    def read(self) -> Tensor:
        """The whole tensor."""
        return self._bytes(0, self.size_bytes).view(self.dtype).view(self.shape)

    def read_rows(self, start: int, stop: int) -> Tensor:
        """Rows ``[start, stop)`` of its first dimension; a scalar counts as one row."""
        if not self.shape:
            return self.read()
        row = self.size_bytes // self.shape[0] if self.shape[0] else 0
        values = self._bytes(start * row, stop * row).view(self.dtype)
        return values.view(stop - start, *self.shape[1:])

    def integers(self) -> tuple[int, ...]:
        """The values of a few integers."""
        with self.file.open("rb") as file:
            file.seek(self.start)
            values = file.read(self.size_bytes)
        width = TYPES[self.code][1]
        starts = range(0, len(values), width)
        return tuple(int.from_bytes(values[i : i + width], "little", signed=True) for i in starts)

    def _bytes(self, start: int, stop: int) -> Tensor:
        import torch  # as in ``dtype``

        buffer = torch.empty(stop - start, dtype=torch.uint8)
        array: Any = buffer.numpy()
        if stop > start:
            with self.file.open("rb", buffering=0) as file:
                file.seek(self.start + start)
                if file.readinto(memoryview(array)) != stop - start:
                    raise UserError(f"{self.file.name} ends inside {self.name}: fetch it again")
        return buffer


class Index(Mapping[str, Entry]):
    """All tensors of a model folder by name, from the headers of its shards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = _shard_files(folder)
        self._entries: dict[str, Entry] = {}
        for file in self.files:
            for entry in read_header(file):
                if other := self._entries.get(entry.name):
                    raise UserError(
                        f"{entry.name} stands in {other.file.name} and in {file.name} of "
                        f"{folder.name}: one of them belongs to another model"
                    )
                self._entries[entry.name] = entry

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        """Bytes of all values."""
        return sum(entry.size_bytes for entry in self.values())


def _shard_files(folder: Path) -> list[Path]:
    """The shards that the index names, else ``model.safetensors``, else all there are."""
    if (folder / INDEX).exists():
        names = _names(folder)
        if missing := [name for name in names if not (folder / name).exists()]:
            raise UserError(
                f"{folder.name} lacks {missing[0]} that its index names: fetch it again"
            )
        return [folder / name for name in names]
    if (folder / "model.safetensors").exists():
        return [folder / "model.safetensors"]
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(f"{folder.name} holds no .safetensors file: is it a model folder?")
    return files


def _names(folder: Path) -> list[str]:
    """The files that the index names: files of this very folder and nothing beyond it."""
    places = read_json(folder / INDEX).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise UserError(f"{INDEX} of {folder.name} has no weight_map: fetch it again")
    for name in places.values():
        if not isinstance(name, str) or not FILE_NAME.fullmatch(name):
            raise UserError(
                f"{INDEX} of {folder.name} names {str(name)[:80]!r}, which is no file of the "
                "folder: fetch it again"
            )
    return sorted(set(places.values()))


def read_header(file: Path) -> list[Entry]:
    """Entries of one safetensors file, in the order of their bytes.

    Raises ``UserError`` that names the file, and the tensor where it can, when the file is cut
    short or its header does not say where its bytes belong.
    """
    size = file.stat().st_size
    with file.open("rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8).ljust(8, b"\0"))
        if size < 8 or length > min(size - 8, HEADER_MAX):
            raise UserError(
                f"{file.name} is cut short or no safetensors file: it has {size} bytes and its "
                f"header should have {length}. Fetch it again"
            )
        try:
            header = json.loads(opened.read(length))
        except (ValueError, RecursionError) as error:
            raise UserError(f"the header of {file.name} is no JSON: {error}") from None
    if not isinstance(header, dict):
        raise UserError(f"the header of {file.name} is no JSON object: fetch it again")
    header.pop("__metadata__", None)
    entries = [_entry(file, 8 + length, name, said) for name, said in header.items()]
    entries.sort(key=lambda entry: entry.start)
    _check_places(file, 8 + length, size, entries)
    return entries


def _entry(file: Path, begin: int, name: str, said: Any) -> Entry:
    name = name.encode(errors="replace").decode()
    try:
        code, shape = said["dtype"], tuple(said["shape"])
        first, last = said["data_offsets"]
    except (TypeError, KeyError, ValueError):
        raise UserError(f"the header of {file.name} is broken at {name}: fetch it again") from None
    if len(shape) > MAX_DIMENSIONS or not all(_is_size(one) for one in (*shape, first, last)):
        raise UserError(f"the header of {file.name} is broken at {name}: fetch it again")
    if not isinstance(code, str) or code not in TYPES:
        raise UserError(
            f"{name} in {file.name} is of type {str(code)[:40]}; known are {', '.join(TYPES)}"
        )
    entry = Entry(name, code, shape, file, begin + first)
    if not entry.size_bytes and max(shape) > MAX_EMPTY:
        raise UserError(
            f"{name} in {file.name} has no values and {max(shape)} rows or columns: fetch it again"
        )
    if last - first != entry.size_bytes:
        raise UserError(
            f"{name} in {file.name} should take {entry.size_bytes} bytes ({code} {list(shape)}), "
            f"but its offsets span {last - first}: fetch the file again"
        )
    return entry


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _check_places(file: Path, begin: int, size: int, entries: list[Entry]) -> None:
    """Refuse holes, overlaps and a file that ends early or late, as safetensors does."""
    end = begin
    for entry in entries:
        if entry.start != end:
            raise UserError(
                f"{entry.name} in {file.name} begins at byte {entry.start}, but the tensor before "
                f"it ends at {end}: fetch the file again"
            )
        end += entry.size_bytes
        if end > size:
            raise UserError(
                f"{file.name} is cut short: {entry.name} should end at byte {end} and the file "
                f"has {size}. Fetch it again"
            )
    if end != size:
        raise UserError(
            f"{file.name} has {size - end} bytes more than its header names: fetch it again"
        )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; raises ``UserError`` that names the file when it is missing or broken."""
    try:
        with path.open("rb") as file:
            text = file.read(HEADER_MAX + 1)
    except FileNotFoundError:
        raise UserError(f"{path.parent.name} has no {path.name}") from None
    if len(text) > HEADER_MAX:
        raise UserError(
            f"{path.parent.name}/{path.name} is larger than {HEADER_MAX // 10**6} MB: fetch it again"
        )
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path.parent.name}/{path.name} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path.parent.name}/{path.name} is no JSON object")
    return value
