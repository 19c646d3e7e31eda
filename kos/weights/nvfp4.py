"""NVFP4 as ModelOpt writes it: 4-bit floats in blocks of 16 columns.

A weight W of shape (R, C) is stored as

- ``weight`` uint8 (R, C/2): two codes a byte, the even column in the low nibble. A code is
  sign << 3 | index into 0, .5, 1, 1.5, 2, 3, 4, 6 (E2M1).
- ``weight_scale`` float8_e4m3fn (R, C/16), row-major, not swizzled.
- ``weight_scale_2`` float32 (), amax(W) / (6 * 448). Gate and up of one MLP share it.
- ``input_scale`` float32 (), amax(activation) / (6 * 448); only W4A4 has it.

W = code * weight_scale * weight_scale_2. The functions here give ModelOpt's bytes.

Letters: R rows, C columns, N blocks of 16 columns.
Source: modelopt/torch/quantization/qtensor/nvfp4_tensor.py, 0.47.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from kos.errors import UserError

BLOCK = 16
CODE_MAX = 6.0
SCALE_MAX = 448.0
SCALE_MIN = 2.0**-9
VALUES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
BOUNDS = (0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0)
TIES_UP = (False, True, False, True, False, True, False)


class Nvfp4Weight(NamedTuple):
    """The three stored tensors of one weight."""

    codes: Tensor
    scale: Tensor
    scale_2: Tensor


def _pairs() -> Tensor:
    """float32 (256, 2): the two values that a byte of codes stands for."""
    signed = torch.tensor((*VALUES, *(-value for value in VALUES)))
    byte = torch.arange(256)
    return torch.stack((signed[byte & 0xF], signed[byte >> 4]), dim=-1)


PAIRS = _pairs()


def global_scale(*weights: Tensor) -> Tensor:
    """``weight_scale_2`` that ``weights`` share: their largest magnitude / 2688, float32 ()."""
    amax = torch.stack([weight.abs().amax().float() for weight in weights]).amax()
    return amax / (CODE_MAX * SCALE_MAX)


def quantise(weight_RC: Tensor, scale_2: Tensor | None = None) -> Nvfp4Weight:
    """Float (R, C), C a multiple of 16, to NVFP4. ``scale_2`` is the weight's own when None."""
    if weight_RC.shape[-1] % BLOCK:
        raise UserError(
            f"NVFP4 needs columns in blocks of {BLOCK}; {tuple(weight_RC.shape)} is not"
        )
    scale_2 = global_scale(weight_RC) if scale_2 is None else scale_2
    blocks = weight_RC.float().view(weight_RC.shape[0], -1, BLOCK)
    scale_RN = blocks.abs().amax(-1) / (CODE_MAX * scale_2)
    scale_RN[scale_RN == 0] = 1.0
    # E4M3 tops out at 448 and underflows below 2^-9: a block must turn neither NaN nor 0.
    scale_RN = scale_RN.clamp(SCALE_MIN, SCALE_MAX).to(torch.float8_e4m3fn)
    scaled = (blocks / (scale_RN.float() * scale_2).unsqueeze(-1)).flatten(1)
    return Nvfp4Weight(pack(encode(scaled)), scale_RN, scale_2)


def dequantise(codes_RB: Tensor, scale_RN: Tensor, scale_2: Tensor) -> Tensor:
    """The stored tensors to float32 (R, C)."""
    values = PAIRS.index_select(0, codes_RB.flatten().int()).view(codes_RB.shape[0], -1, BLOCK)
    return values.mul_((scale_RN.float() * scale_2.float()).unsqueeze(-1)).flatten(1)


def encode(scaled_RC: Tensor) -> Tensor:
    """Nearest E2M1 code, uint8. Ties go to the even index; -0.0 becomes +0."""
    magnitude = scaled_RC.abs()
    code = (scaled_RC < 0).to(torch.uint8) << 3
    # Seven comparisons are four times as fast as a search in the table.
    for bound, is_up in zip(BOUNDS, TIES_UP, strict=True):
        code += magnitude >= bound if is_up else magnitude > bound
    return code


def pack(codes_RC: Tensor) -> Tensor:
    """Codes uint8 (R, C) to (R, C/2), the even column in the low nibble."""
    return codes_RC[:, 0::2] | (codes_RC[:, 1::2] << 4)
