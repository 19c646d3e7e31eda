"""Reading an exported folder: what it holds, whether it is sound, its values.

``export.json`` beside the weights names the format and what it quantised.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import torch
from pydantic import TypeAdapter
from torch import Tensor

from kos.errors import UserError
from kos.weights import shards
from kos.weights.formats.base import FORMATS, ExportFormat
from kos.weights.shards import DTYPES, Entry, Index
from kos.weights.stream import EXPORT
from kos.weights.text import kind_of

FORMATS.register_folder("kos.weights.formats")
SERVED = "hf_quant_config.json"


@dataclass(frozen=True)
class Inventory:
    """Which tensors fell where, by kind of weight."""

    quantised: Mapping[str, int]
    kept: Mapping[str, int]
    size_bytes: int

    def show(self) -> dict[str, Any]:
        """For the artifact's summary."""
        return {
            "num_quantised": sum(self.quantised.values()),
            "num_kept": sum(self.kept.values()),
            "quantised_kinds": dict(self.quantised),
            "kept_kinds": dict(self.kept),
            "size_bytes": self.size_bytes,
        }


class Stored(Protocol):
    """Type and shape of a plain tensor."""

    @property
    def dtype(self) -> torch.dtype:
        """As it is stored."""

    @property
    def shape(self) -> tuple[int, ...]:
        """As transformers has it."""


class Exported(Protocol):
    """An export on disk, whatever its container."""

    folder: Path
    format: ExportFormat
    weights: dict[str, tuple[int, ...]]

    @property
    def plain(self) -> Mapping[str, Stored]:
        """The tensors that are not quantised."""

    def check(self, wanted: Iterable[str]) -> Inventory:
        """Refuse what would load to nonsense."""

    def read(self, name: str) -> dict[str, Tensor]:
        """The stored tensors of one quantised weight."""

    def served(self, name: str) -> Tensor:
        """Any weight as an engine computes with it."""


class QuantisedFolder:
    """An exported model: plain tensors by name, and quantised weights by theirs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        said = shards.read_json(folder / EXPORT)
        self.format = format_of(said["format"])
        self.index = Index(folder)
        self.weights: dict[str, tuple[int, ...]] = {
            name: tuple(shape) for name, shape in said["quantised"].items()
        }
        parts = {part for name in self.weights for part in self._parts(name)}
        self.plain: dict[str, Entry] = {
            name: entry for name, entry in self.index.items() if name not in parts
        }

    def _parts(self, name: str) -> Iterable[str]:
        return self.format.parts(name, self.weights[name])

    def check(self, wanted: Iterable[str]) -> Inventory:
        """Refuse what an engine would load to nonsense; ``wanted`` are the model's weights.

        vLLM takes a missing ``input_scale`` for whatever lies in memory, so a W4A4 file without
        one must never be served.
        """
        found = self.plain.keys() | self.weights.keys()
        if missing := sorted(set(wanted) - found):
            raise UserError(f"the export lacks {len(missing)} weights, {missing[0]} among them")
        if not self.weights and not self.format.is_plain:
            raise UserError("nothing was quantised: no weight's name matches the patterns")
        for name in self.weights:
            self._check_weight(name)
        return Inventory(
            dict(sorted(Counter(map(kind_of, self.weights)).items())),
            dict(sorted(Counter(map(kind_of, self.plain)).items())),
            self.index.size_bytes,
        )

    def _check_weight(self, name: str) -> None:
        stem = name.removesuffix(".weight")
        parts = self.format.parts(name, self.weights[name])
        if self._is_w4a4 and f"{stem}.input_scale" not in self.index:
            raise UserError(
                f"{stem} is NVFP4 but has no input_scale: it was quantised without "
                "calibration; export the model again"
            )
        for part, wanted in parts.items():
            entry = self.index.get(part)
            if entry is None:
                raise UserError(f"the export lacks {part}; export the model again")
            if (entry.dtype, entry.shape) != (DTYPES[wanted.dtype], wanted.shape):
                raise UserError(
                    f"{part} is {entry.dtype} {entry.shape}, but {self.format.kind} stores "
                    f"{wanted.dtype} {wanted.shape}; export the model again"
                )
        small = {part: self.index[part].read() for part, one in parts.items() if not one.shape}
        self.format.check(name, small)

    @property
    def _is_w4a4(self) -> bool:
        """Whether engines are told that inputs are NVFP4 as well."""
        if not hasattr(self, "_algorithm"):
            path = self.folder / SERVED
            said = shards.read_json(path)["quantization"] if path.exists() else {}
            self._algorithm = said.get("quant_algo")
        return bool(self._algorithm == "NVFP4")

    def read(self, name: str) -> dict[str, Tensor]:
        """The stored tensors of one quantised weight."""
        return {part: self.index[part].read() for part in self._parts(name)}

    def dequantise(self, name: str) -> Tensor:
        """Values of one quantised weight, float32 (R, C)."""
        return self.format.decode(name, self.read(name))

    def served(self, name: str) -> Tensor:
        """Any weight as an engine computes with it, BF16 unless it is kept in full."""
        if name in self.weights:
            return self.dequantise(name).to(torch.bfloat16)
        return self.plain[name].read()


def format_of(said: Mapping[str, Any]) -> ExportFormat:
    """The format whose fields ``said`` has."""
    adapter: TypeAdapter[ExportFormat] = TypeAdapter(Annotated[ExportFormat, FORMATS])
    return adapter.validate_python(said)
