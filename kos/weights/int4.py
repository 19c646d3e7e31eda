"""INT4 as compressed-tensors packs it (``pack-quantized``): Kimi K2's routed experts.

A weight W of shape (R, C) is stored as three tensors:

- ``weight_packed`` int32 (R, ceil(C/8)): element j of a row is nibble j % 8 of word j // 8, the
  least significant nibble first. The nibble is offset binary, q + 8, with q in [-8, 7]. A row is
  padded at its end with zero nibbles.
- ``weight_scale`` bfloat16 (R, ceil(C/32)): W = q * scale, one scale for 32 consecutive columns;
  the last group may be shorter.
- ``weight_shape`` int32 (2,): (R, C), which tells the padding.

Read as two's complement the same bytes give weights that anti-correlate with the true ones.

Letters: R rows, C columns, W words of eight columns, G groups of 32 columns.
Source: compressed_tensors/compressors/pack_quantized/helpers.py, 0.17.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kos.errors import UserError

GROUP = 32
NIBBLES = 8
OFFSET = 8


def pack(q_RC: Tensor) -> Tensor:
    """Codes int8 (R, C) in [-8, 7] to int32 (R, ceil(C/8)); see the module for the bit order."""
    rows, columns = q_RC.shape
    words = -(-columns // NIBBLES)
    nibbles = torch.zeros(rows, words * NIBBLES, dtype=torch.uint8)
    nibbles[:, :columns] = (q_RC + OFFSET).to(torch.uint8)
    bytes_RB = nibbles[:, 0::2] | (nibbles[:, 1::2] << 4)
    return bytes_RB.contiguous().view(torch.int32)


def unpack(packed_RW: Tensor, columns: int) -> Tensor:
    """int32 (R, ceil(columns/8)) back to codes int8 (R, columns) in [-8, 7]."""
    if packed_RW.dtype != torch.int32 or packed_RW.shape[1] != -(-columns // NIBBLES):
        raise UserError(
            f"packed INT4 of {columns} columns should be int32 with {-(-columns // NIBBLES)} "
            f"words a row, but is {packed_RW.dtype} {tuple(packed_RW.shape)}"
        )
    bytes_RB = packed_RW.contiguous().view(torch.uint8)
    nibbles = torch.stack((bytes_RB & 0xF, bytes_RB >> 4), dim=-1).flatten(1)
    return nibbles[:, :columns].to(torch.int8) - OFFSET


def dequantise(packed_RW: Tensor, scale_RG: Tensor, columns: int, *, group: int = GROUP) -> Tensor:
    """Packed codes and scales to float32 (R, columns); ``group`` columns share a scale."""
    q_RC = unpack(packed_RW, columns)
    if columns % group:
        steps = scale_RG.float().repeat_interleave(group, 1)[:, :columns]
        return q_RC * steps
    return (q_RC.view(q_RC.shape[0], -1, group) * scale_RG.float().unsqueeze(-1)).flatten(1)


def quantise(weight_RC: Tensor) -> tuple[Tensor, Tensor]:
    """Float (R, C) to (weight_packed, weight_scale) by Kimi's rule.

    scale = bf16(amax / 7) and codes clamped to [-7, 7], so every group reaches 7 and a weight
    that came from this grid maps to itself bit for bit. An all-zero group gets scale 1.
    Source: SkyRL fake_int4_qat.py, bit-exact against Kimi-K2.6.
    """
    rows, columns = weight_RC.shape
    padded = torch.nn.functional.pad(weight_RC.float(), (0, -columns % GROUP))
    groups = padded.view(rows, -1, GROUP)
    scale_RG = (groups.abs().amax(-1) / 7).to(torch.bfloat16)
    scale_RG[scale_RG == 0] = 1
    q = (groups / scale_RG.float().unsqueeze(-1)).round_().clamp_(-7, 7)
    return pack(q.flatten(1)[:, :columns].to(torch.int8)), scale_RG
