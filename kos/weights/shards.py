"""Hugging Face folders of safetensors, read and written without holding them in memory.

``Index`` reads headers only; a tensor, or some rows of it, is read when asked for. ``write_shard``
writes one file in one pass, hashing as it goes: the header is known beforehand because the
names, dtypes and shapes are. Every file appears whole or not at all (temporary file, fsync,
rename), so a job that was killed can tell what is done by what is there.

File format: 8 bytes little-endian header length, JSON header, then the tensors' bytes.
Source: https://huggingface.co/docs/safetensors (format).
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kos.errors import UserError
from kos.files import replace_when_whole

INDEX = "model.safetensors.index.json"
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
CODES = {dtype: code for code, dtype in DTYPES.items()}
# What surrounds the weights in a model folder: tokenizer, chat template, generation settings.
COMPANIONS = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "tiktoken.model",
    "chat_template*",
    "generation_config.json",
    "LICENSE*",
)


class Spec(NamedTuple):
    """Name, dtype and shape of a tensor that is still to be written."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of its values."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Entry:
    """Where a stored tensor lies: byte ``start`` of ``file``."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    file: Path
    start: int

    @property
    def size_bytes(self) -> int:
        """Bytes of its values."""
        return math.prod(self.shape) * self.dtype.itemsize

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

    def _bytes(self, start: int, stop: int) -> Tensor:
        buffer = torch.empty(stop - start, dtype=torch.uint8)
        if stop > start:
            with self.file.open("rb") as file:
                file.seek(self.start + start)
                if file.readinto(_raw(buffer)) != stop - start:
                    raise UserError(f"{self.file.name} ends inside {self.name}: fetch it again")
        return buffer


class Index(Mapping[str, Entry]):
    """All tensors of a model folder by name, from the headers of its shards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = _shard_files(folder)
        self._entries = {entry.name: entry for file in self.files for entry in read_header(file)}

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
        names = sorted(set(read_json(folder / INDEX)["weight_map"].values()))
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


def read_header(file: Path) -> list[Entry]:
    """Entries of one safetensors file, in the order of their bytes."""
    with file.open("rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8))
        header = json.loads(opened.read(length))
    header.pop("__metadata__", None)
    entries = [
        Entry(
            name,
            _dtype(file, name, said["dtype"]),
            tuple(said["shape"]),
            file,
            8 + length + said["data_offsets"][0],
        )
        for name, said in header.items()
    ]
    return sorted(entries, key=lambda entry: entry.start)


def _dtype(file: Path, name: str, code: str) -> torch.dtype:
    if code not in DTYPES:
        raise UserError(f"{name} in {file.name} is of type {code}; known are {', '.join(DTYPES)}")
    return DTYPES[code]


def split(specs: Iterable[Spec], max_bytes: float) -> list[list[Spec]]:
    """Cut ``specs``, in order, into shards of at most ``max_bytes`` (a larger tensor stands alone)."""
    shards: list[list[Spec]] = []
    size = 0
    for spec in specs:
        if not shards or size + spec.size_bytes > max_bytes:
            shards.append([])
            size = 0
        shards[-1].append(spec)
        size += spec.size_bytes
    return shards


def shard_name(number: int, total: int) -> str:
    """Hugging Face's name of shard ``number`` (from 1) of ``total``."""
    if total == 1:
        return "model.safetensors"
    return f"model-{number:05d}-of-{total:05d}.safetensors"


def write_shard(
    path: Path, specs: Sequence[Spec], pieces: Callable[[Spec], Iterable[Tensor]]
) -> str:
    """Write ``specs`` to ``path`` and return its SHA-256.

    ``pieces(spec)`` yields the tensor's values from front to back, in pieces of any size, so no
    more than a piece need be in memory.
    """
    digest = hashlib.sha256()
    with replace_when_whole(path) as file:
        header = _header(specs)
        digest.update(header)
        file.write(header)
        for spec in specs:
            written = 0
            for piece in pieces(spec):
                assert piece.dtype == spec.dtype, (spec, piece.dtype)
                raw = _raw(piece.contiguous().view(-1).view(torch.uint8))
                digest.update(raw)
                file.write(raw)
                written += len(raw)
            assert written == spec.size_bytes, (spec, written)
    return digest.hexdigest()


def _raw(buffer: Tensor) -> memoryview:
    """The bytes of a flat uint8 tensor, in place."""
    array: Any = buffer.numpy()
    return memoryview(array)


def _header(specs: Sequence[Spec]) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for spec in specs:
        header[spec.name] = {
            "dtype": CODES[spec.dtype],
            "shape": list(spec.shape),
            "data_offsets": [offset, offset + spec.size_bytes],
        }
        offset += spec.size_bytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def write_index(folder: Path, shards: Mapping[str, Sequence[Spec]]) -> None:
    """``model.safetensors.index.json`` over ``shards``; none for a single file, as transformers."""
    if len(shards) == 1:
        return
    total = sum(spec.size_bytes for specs in shards.values() for spec in specs)
    places = {spec.name: file for file, specs in shards.items() for spec in specs}
    write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": places})


def copy_companions(source: Path, target: Path) -> None:
    """Copy tokenizer, chat template and generation settings; no weights and no config."""
    for pattern in COMPANIONS:
        for path in sorted(source.glob(pattern)):
            if path.is_file():
                with replace_when_whole(target / path.name) as file, path.open("rb") as opened:
                    shutil.copyfileobj(opened, file)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; raises ``UserError`` that names the file when it is missing or broken."""
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path.parent.name} has no {path.name}") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path.parent.name}/{path.name} is no JSON: {error}") from None
    assert isinstance(value, dict)
    return value


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write ``value`` as JSON, whole or not at all."""
    with replace_when_whole(path) as file:
        file.write((json.dumps(value, indent=2) + "\n").encode())


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
