"""The values a merge writes: base + update, block of rows by block of rows.

The sum is made in float32 and rounded once, to BF16 or to the base's own INT4 grid. Whatever was
stored quantised and is not changed becomes BF16, or stays byte for byte in INT4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kos.weights import kernels
from kos.weights.coding import PACKED
from kos.weights.lora import Update
from kos.weights.shards import Spec
from kos.weights.tally import Tally
from kos.weights.text import Weight, kind_of


def merged_rows(weight: Weight, update: Update, start: int, stop: int) -> Tensor:
    """Rows ``[start, stop)`` of base + update in float32: what an export rounds itself."""
    delta = update.delta(start, stop)
    if weight.is_int4:
        packed, scale = _stored_rows(weight, start, stop)
        return kernels.add_int4(packed, scale, delta)
    return delta.add_(weight.read_rows(start, stop).float())


@dataclass
class Writer:
    """Makes the values of one output shard and tallies what changed in it.

    ``on_bytes`` is told how many bytes of the base were read.
    """

    base: Mapping[str, Weight]
    updates: Mapping[str, Update]
    on_bytes: Callable[[int], None]
    tallies: dict[str, Tally] = field(default_factory=dict)
    _scales: dict[str, Tensor] = field(default_factory=dict)

    def pieces(self, spec: Spec) -> Iterator[Tensor]:
        """The values of one tensor, as they are written."""
        stem, _, last = spec.name.rpartition(".")
        if spec.name not in self.base:
            weight = self.base[f"{stem}.weight"]
            yield from {
                PACKED[1:]: self._packed,
                "weight_scale": self._scale,
                "weight_shape": self._shape,
            }[last](weight)
            return
        weight = self.base[spec.name]
        update = self.updates.get(spec.name)
        for start, stop in self._blocks(weight):
            if update is None:
                yield _unchanged(weight, start, stop, spec.dtype)
            else:
                yield self._changed(weight, update, start, stop)

    def _blocks(self, weight: Weight) -> Iterator[tuple[int, int]]:
        blocks = list(weight.blocks())
        share, rest = divmod(weight.stored_bytes, max(1, len(blocks)))
        for start, stop in blocks:
            yield start, stop
            self.on_bytes(share)
        self.on_bytes(rest)

    def _tally(self, name: str, start: int) -> Tally:
        tally = self.tallies.setdefault(kind_of(name), Tally())
        tally.num_tensors += start == 0
        return tally

    def _changed(self, weight: Weight, update: Update, start: int, stop: int) -> Tensor:
        delta = update.delta(start, stop)
        shape = delta.shape
        delta = delta.view(-1, shape[-1])
        if weight.is_int4:
            merged, sums = kernels.fold_int4(*_stored_rows(weight, start, stop), delta)
        else:
            merged, sums = kernels.fold_plain(weight.read_rows(start, stop).view_as(delta), delta)
        self._tally(weight.name, start).add(delta.numel(), sums)
        return merged.view(shape)

    def _packed(self, weight: Weight) -> Iterator[Tensor]:
        """INT4 words; the scales made on the way are kept for their turn, which is next."""
        update, scales = self.updates.get(weight.name), []
        for start, stop in self._blocks(weight):
            packed, scale = _stored_rows(weight, start, stop)
            if update is not None:
                delta = update.delta(start, stop)
                packed, scale, sums, changed = kernels.repack_int4(packed, scale, delta)
                self._tally(weight.name, start).add(delta.numel(), sums, changed)
            scales.append(scale)
            yield packed
        self._scales[weight.name] = torch.cat(scales)

    def _scale(self, weight: Weight) -> Iterator[Tensor]:
        yield self._scales.pop(weight.name)

    def _shape(self, weight: Weight) -> Iterator[Tensor]:
        yield torch.tensor(weight.shape, dtype=torch.int32)


def _unchanged(weight: Weight, start: int, stop: int, dtype: torch.dtype) -> Tensor:
    if weight.is_int4 and dtype == torch.bfloat16:
        packed, scale = _stored_rows(weight, start, stop)
        return kernels.int4_bf16(packed, scale, weight.shape[1])
    return weight.read_rows(start, stop).to(dtype)


def _stored_rows(weight: Weight, start: int, stop: int) -> tuple[Tensor, Tensor]:
    assert weight.scale is not None
    return weight.stored.read_rows(start, stop), weight.scale.read_rows(start, stop)
