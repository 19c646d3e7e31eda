"""Writing Hugging Face folders of safetensors without holding them in memory.

``write_shard`` writes one file in one pass, hashing as it goes: the header is known beforehand
because the names, dtypes and shapes are. Every file appears whole or not at all (temporary file,
fsync, rename), so a job that was killed can tell what is done by what is there. What reads is in
``entries`` and is offered here as well.

File format: 8 bytes little-endian header length, JSON header, then the tensors' bytes.
Source: https://huggingface.co/docs/safetensors (format).
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

from kos.files import replace_when_whole
from kos.weights.entries import INDEX, TYPES, Entry, Index, read_header, read_json

__all__ = [
    "CODES",
    "DTYPES",
    "INDEX",
    "Entry",
    "Index",
    "Spec",
    "copy_companions",
    "read_header",
    "read_json",
    "sha256",
    "shard_name",
    "split",
    "write_index",
    "write_json",
    "write_shard",
]

DTYPES: dict[str, torch.dtype] = {code: getattr(torch, name) for code, (name, _) in TYPES.items()}
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
    more than a few pieces need be in memory: they are hashed and written in a thread of their
    own while the next are made. A piece must not change after it was yielded.
    """
    with replace_when_whole(path) as file, _Sink(file) as sink:
        sink.put(memoryview(_header(specs)))
        for spec in specs:
            written = 0
            for piece in pieces(spec):
                assert piece.dtype == spec.dtype, (spec, piece.dtype)
                raw = _raw(piece.contiguous().view(-1).view(torch.uint8))
                sink.put(raw)
                written += len(raw)
            assert written == spec.size_bytes, (spec, written)
    return sink.digest.hexdigest()


class _Sink:
    """Hashes and writes what it is given, in order, in a thread of its own.

    What fails there is raised by the next ``put`` or at the end of the block.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.digest = hashlib.sha256()
        self._file = file
        self._waiting: Queue[memoryview | None] = Queue(maxsize=2)
        self._failure: OSError | None = None
        self._thread = Thread(target=self._work, name="shard-writer", daemon=True)

    def __enter__(self) -> _Sink:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._waiting.put(None)
        self._thread.join()
        if self._failure is not None and exception[0] is None:
            raise self._failure

    def put(self, raw: memoryview) -> None:
        """Hand over bytes; waits while two pieces are waiting already."""
        if self._failure is not None:
            raise self._failure
        self._waiting.put(raw)

    def _work(self) -> None:
        while (raw := self._waiting.get()) is not None:
            if self._failure is None:
                try:
                    self.digest.update(raw)
                    self._file.write(raw)
                except OSError as error:  # a full disk
                    self._failure = error


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


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write ``value`` as JSON, whole or not at all."""
    with replace_when_whole(path) as file:
        file.write((json.dumps(value, indent=2) + "\n").encode())


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
