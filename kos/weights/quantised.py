"""Reading an exported NVFP4 folder: what it holds, whether it is sound, its values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kos.errors import UserError
from kos.weights import nvfp4, shards
from kos.weights.nvfp4 import Nvfp4Weight
from kos.weights.shards import Entry, Index
from kos.weights.text import BLOCK, kind_of

SCALE, SCALE_2, INPUT = ".weight_scale", ".weight_scale_2", ".input_scale"
SUFFIXES = (SCALE, SCALE_2, INPUT)


@dataclass(frozen=True)
class Inventory:
    """Which tensors fell where, by kind of weight."""

    nvfp4: Mapping[str, int]
    kept: Mapping[str, int]
    size_bytes: int

    def show(self) -> dict[str, Any]:
        """For the artifact's summary."""
        return {
            "num_quantised": sum(self.nvfp4.values()),
            "num_kept": sum(self.kept.values()),
            "quantised_kinds": dict(self.nvfp4),
            "kept_kinds": dict(self.kept),
            "size_bytes": self.size_bytes,
        }


class Nvfp4Folder:
    """An exported model: plain tensors and NVFP4 weights, by weight name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index = Index(folder)
        self.plain: dict[str, Entry] = {}
        self.weights: dict[str, Entry] = {}
        for name, entry in self.index.items():
            if entry.dtype == torch.uint8:
                self.weights[name] = entry
            elif not name.endswith(SUFFIXES):
                self.plain[name] = entry

    def check(self, wanted: Iterable[str]) -> Inventory:
        """Refuse what an engine would load to nonsense; ``wanted`` are the model's weights.

        vLLM takes a missing ``input_scale`` for whatever lies in memory, so a W4A4 file without
        one must never be served.
        """
        found = self.plain.keys() | self.weights.keys()
        if missing := sorted(set(wanted) - found):
            raise UserError(f"the export lacks {len(missing)} weights, {missing[0]} among them")
        if not self.weights:
            raise UserError("nothing was quantised: no weight's name matches the patterns")
        config = shards.read_json(self.folder / "hf_quant_config.json")["quantization"]
        has_activations = config["quant_algo"] == "NVFP4"
        for name in self.weights:
            self._check_weight(name, has_activations=has_activations)
        return Inventory(
            dict(sorted(Counter(map(kind_of, self.weights)).items())),
            dict(sorted(Counter(map(kind_of, self.plain)).items())),
            self.index.size_bytes,
        )

    def _check_weight(self, name: str, *, has_activations: bool) -> None:
        stem = name.removesuffix(".weight")
        needed = SUFFIXES if has_activations else (SCALE, SCALE_2)
        for suffix in needed:
            if stem + suffix not in self.index:
                raise UserError(
                    f"{stem} is NVFP4 but has no {suffix[1:]}: it was quantised without "
                    "calibration; export the model again"
                )
        for suffix in needed[1:]:
            value = self.index[stem + suffix].read().float()
            if not (torch.isfinite(value).all() and (value > 0).all()):
                raise UserError(f"{stem}{suffix} is {value.tolist()}, which scales to nonsense")

    def read(self, name: str) -> Nvfp4Weight:
        """The stored tensors of one quantised weight."""
        stem = name.removesuffix(".weight")
        return Nvfp4Weight(
            self.weights[name].read(),
            self.index[stem + SCALE].read(),
            self.index[stem + SCALE_2].read(),
        )

    def dequantise(self, name: str) -> Iterator[Tensor]:
        """Values of one quantised weight, float32, in blocks of rows from first to last."""
        stem, codes = name.removesuffix(".weight"), self.weights[name]
        scale_2 = self.index[stem + SCALE_2].read()
        step = max(1, BLOCK // (codes.shape[1] * 2))
        for start in range(0, codes.shape[0], step):
            stop = min(start + step, codes.shape[0])
            scale = self.index[stem + SCALE].read_rows(start, stop)
            yield nvfp4.dequantise(codes.read_rows(start, stop), scale, scale_2)

    def partners(self, name: str) -> list[str]:
        """``name`` and the siblings it shares ``weight_scale_2`` with, as gate and up do."""
        parent = name.removesuffix(".weight").rsplit(".", 1)[0]
        mine = self.read(name).scale_2
        near = [other for other in self.weights if other.rsplit(".", 2)[0] == parent]
        return [other for other in near if torch.equal(self.read(other).scale_2, mine)]
