"""Base + update straight to NVFP4, without a copy in between on disk or a temporary in memory.

A weight's global scale hangs on its largest value, so its blocks are visited twice: they are
decoded, summed and searched for the maximum, then encoded. The sums are held in a buffer that
the next weight uses again; what is larger than the buffer may be is summed twice instead. Bytes
are those of ModelOpt's ``NVFP4QTensor.quantize`` of the sum in float32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kos.weights import kernels, nvfp4
from kos.weights.fold import merged_rows
from kos.weights.lora import Update
from kos.weights.nvfp4 import Nvfp4Weight
from kos.weights.text import Weight

# Values of float32 held at a time, all members of a group together: 256 MB.
HELD = 1 << 26
Member = tuple[Weight, Update | None]


@dataclass
class Nvfp4Encoder:
    """Encodes weights that share a global scale (gate and up of one expert), a group at a time."""

    _buffer: Tensor = field(default_factory=lambda: torch.empty(0))

    def scale_2(self, group: Sequence[Member], scratch: Sequence[Tensor | None]) -> Tensor:
        """Largest magnitude of the group / 2688, float32 (); fills ``scratch`` on the way."""
        amax = 0.0
        for (weight, update), held in zip(group, scratch, strict=True):
            for start, stop in weight.blocks():
                rows = merged_rows(weight, update, start, stop)
                amax = max(amax, kernels.largest(rows))
                if held is not None:
                    held[start:stop] = rows
        return torch.tensor(amax) / (nvfp4.CODE_MAX * nvfp4.SCALE_MAX)

    def encode(self, group: Sequence[Member]) -> Iterator[Nvfp4Weight]:
        """The stored tensors of each member, in order."""
        scratch = self._scratch([weight for weight, _ in group])
        scale_2 = self.scale_2(group, scratch)
        for (weight, update), held in zip(group, scratch, strict=True):
            rows, columns = weight.shape
            codes = torch.empty(rows, columns // 2, dtype=torch.uint8)
            scale = torch.empty(rows, columns // nvfp4.BLOCK, dtype=torch.float8_e4m3fn)
            for start, stop in weight.blocks():
                values = (
                    merged_rows(weight, update, start, stop) if held is None else held[start:stop]
                )
                codes[start:stop], scale[start:stop] = kernels.nvfp4_rows(values, scale_2)
            yield Nvfp4Weight(codes, scale, scale_2)

    def _scratch(self, weights: Sequence[Weight]) -> list[Tensor | None]:
        """A part of the buffer for each weight; None for all when they do not fit."""
        sizes = [math.prod(weight.shape) for weight in weights]
        if sum(sizes) > HELD:
            return [None] * len(weights)
        if self._buffer.numel() < sum(sizes):
            self._buffer = torch.empty(sum(sizes))
        parts = torch.split(self._buffer[: sum(sizes)], sizes)
        return [part.view(weight.shape) for part, weight in zip(parts, weights, strict=True)]
