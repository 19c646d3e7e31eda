"""MXFP4: 4-bit floats (E2M1) in blocks of 32 columns that share a power of two (E8M0).

A weight W of shape (R, C) is stored as

- ``weight_packed`` uint8 (R, C/2): two codes a byte as in NVFP4, the even column low;
- ``weight_scale`` uint8 (R, C/32): e + 127, W = code * 2^e.

How e follows from a block's largest magnitude differs by source, and on normally distributed
blocks any two of the three rules agree on only 71 to 91 % of them:

- ``modelopt``: ceil(log2(amax / 6)), so nothing is clipped; ties toward zero, zero is 0x8.
  modelopt/torch/quantization/qtensor/mxfp4_tensor.py, 0.47.
- ``ocp``: floor(log2 amax) - 2, and what exceeds 6 is clipped.
  OCP Microscaling Formats v1.0, section 6.3.
- ``compressed-tensors``: amax is first rounded to a power of two.
  compressed_tensors/quantization/utils/mxfp_utils.py, 0.17.

Letters: R rows, C columns, N blocks of 32 columns.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from kos.errors import UserError
from kos.weights.nvfp4 import BOUNDS, PAIRS, TIES_UP

BLOCK = 32
BIAS = 127
Rule = Literal["modelopt", "ocp", "compressed-tensors"]


def quantise(weight_RC: Tensor, rule: Rule) -> tuple[Tensor, Tensor]:
    """Float (R, C), C a multiple of 32, to (codes uint8 (R, C/2), scale uint8 (R, C/32))."""
    if weight_RC.shape[-1] % BLOCK:
        raise UserError(
            f"MXFP4 needs columns in blocks of {BLOCK}; {tuple(weight_RC.shape)} is not"
        )
    blocks = weight_RC.float().view(weight_RC.shape[0], -1, BLOCK)
    exponent_RN = _exponent(blocks.abs().amax(-1), rule)
    scaled_RC = (blocks / torch.exp2(exponent_RN).unsqueeze(-1)).flatten(1)
    codes = _encode_strict(scaled_RC) if rule == "modelopt" else _encode_even(scaled_RC)
    return codes[:, 0::2] | (codes[:, 1::2] << 4), (exponent_RN + BIAS).to(torch.uint8)


def dequantise(codes_RB: Tensor, scale_RN: Tensor) -> Tensor:
    """The stored tensors to float32 (R, C)."""
    values = PAIRS.index_select(0, codes_RB.flatten().int()).view(codes_RB.shape[0], -1, BLOCK)
    return values.mul_(torch.exp2(scale_RN.float() - BIAS).unsqueeze(-1)).flatten(1)


def _exponent(amax_RN: Tensor, rule: Rule) -> Tensor:
    """e of each block, float32, within the stored range."""
    if rule == "modelopt":
        exponent = torch.log2(amax_RN / 6).clamp(min=-BIAS).ceil()
    elif rule == "ocp":
        exponent = torch.log2(amax_RN).floor() - 2
    else:
        exponent = torch.log2(_power_of_two(amax_RN)).floor() - 2
    return exponent.clamp(-BIAS, BIAS)


def _power_of_two(amax_RN: Tensor) -> Tensor:
    """The library's rounding, up where the mantissa reaches 1.75."""
    # A quarter of the leading mantissa bit carries into the exponent exactly from 1.75 on.
    # Source: round_to_power_2.
    bits = (amax_RN.contiguous().view(torch.int32) + (1 << 21)) & 0x7F800000
    return bits.view(torch.float32)


def _encode_strict(scaled_RC: Tensor) -> Tensor:
    """ModelOpt's: a tie goes toward zero, and zero itself carries the sign bit."""
    magnitude = scaled_RC.abs()
    codes = (scaled_RC <= 0).to(torch.uint8) << 3
    for bound in BOUNDS:
        codes += magnitude > bound
    return codes


def _encode_even(scaled_RC: Tensor) -> Tensor:
    """Nearest code; ties go to the even one. What exceeds 6 becomes 6."""
    magnitude = scaled_RC.abs()
    codes = scaled_RC.signbit().to(torch.uint8) << 3
    for bound, is_up in zip(BOUNDS, TIES_UP, strict=True):
        codes += magnitude >= bound if is_up else magnitude > bound
    return codes
