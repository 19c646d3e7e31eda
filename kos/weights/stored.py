"""The values of a weight as a checkpoint stores them, some rows at a time, in float32.

One function a coding, by the names of ``text.Weight.coding``. Products are made in the order of
the library that owns the format, so the float32 values are the same to the last bit.

Letters: R rows, C columns, G groups of columns, E experts, H hidden, I inner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kos.weights import int4, kernels, nvfp4

if TYPE_CHECKING:
    from kos.weights.text import Weight


def read_rows(weight: Weight, start: int, stop: int) -> Tensor:
    """Rows ``[start, stop)`` of the first dimension."""
    return READERS[weight.coding](weight, start, stop)


def _plain(weight: Weight, start: int, stop: int) -> Tensor:
    return weight.stored.read_rows(start, stop)


def _int4(weight: Weight, start: int, stop: int) -> Tensor:
    """compressed-tensors ``pack-quantized``: q * scale."""
    assert weight.scale is not None
    packed, scale = weight.stored.read_rows(start, stop), weight.scale.read_rows(start, stop)
    if scale.shape[1] == -(-weight.shape[1] // int4.GROUP):
        return kernels.int4_values(packed, scale, weight.shape[1])
    return int4.dequantise(packed, scale, weight.shape[1], group=weight.group)


def _nvfp4(weight: Weight, start: int, stop: int) -> Tensor:
    """ModelOpt: code * (scale * scale_2)."""
    assert weight.scale is not None and weight.whole_scale is not None
    scale_2 = weight.whole_scale.read().reshape(())
    return nvfp4.dequantise(
        weight.stored.read_rows(start, stop), weight.scale.read_rows(start, stop), scale_2
    )


def _nvfp4_divided(weight: Weight, start: int, stop: int) -> Tensor:
    """compressed-tensors ``nvfp4-pack-quantized``: code * (scale / global_scale)."""
    assert weight.scale is not None and weight.whole_scale is not None
    scale_RG = weight.scale.read_rows(start, stop).float()
    scale_RG /= weight.whole_scale.read().float().reshape(())
    return _fp4(weight.stored.read_rows(start, stop), scale_RG)


def _mxfp4(weight: Weight, start: int, stop: int) -> Tensor:
    """code * 2^(scale - 127), groups of 32."""
    assert weight.scale is not None
    scale_RG = torch.exp2(weight.scale.read_rows(start, stop).float() - 127)
    return _fp4(weight.stored.read_rows(start, stop), scale_RG)


def _gpt_oss(weight: Weight, start: int, stop: int) -> Tensor:
    """gpt-oss' MXFP4 experts: blocks (E, 2I, G, 16) and scales (E, 2I, G) to (E, H, 2I).

    Source: transformers 5.19, integrations/mxfp4.py (convert_moe_packed_tensors).
    """
    assert weight.scale is not None
    blocks, scale = weight.stored.read_rows(start, stop), weight.scale.read_rows(start, stop)
    scale_RG = torch.exp2(scale.float() - 127).flatten(0, 1)
    values = _fp4(blocks.flatten(2).flatten(0, 1), scale_RG)
    return values.view(*blocks.shape[:2], -1).transpose(1, 2).contiguous()


def _fp8(weight: Weight, start: int, stop: int) -> Tensor:
    """One scale a weight, a row, or a block of rows and columns (DeepSeek-V3's 128 by 128)."""
    assert weight.scale is not None
    rows_RC = weight.stored.read_rows(start, stop).float()
    scale = weight.scale.read().float()
    if scale.numel() == 1:
        return rows_RC.mul_(scale.reshape(()))
    if scale.numel() == weight.shape[0] and weight.block is None:
        return rows_RC.mul_(scale.reshape(-1, 1)[start:stop])
    assert weight.block is not None
    high, wide = weight.block
    scale = scale.reshape(-(-weight.shape[0] // high), -1)
    first = start // high
    scale = scale[first : -(-stop // high)].repeat_interleave(high, 0)
    scale = scale[start - first * high : stop - first * high]
    return rows_RC.mul_(scale.repeat_interleave(wide, 1)[:, : weight.shape[1]])


def _fp4(codes_RB: Tensor, scale_RG: Tensor) -> Tensor:
    """E2M1 codes, two a byte, by the scale of their group; float32 (R, C)."""
    values = nvfp4.PAIRS.index_select(0, codes_RB.flatten().int())
    groups = values.view(*scale_RG.shape, -1)
    return groups.mul_(scale_RG.unsqueeze(-1)).flatten(1)


READERS = {
    "plain": _plain,
    "int4": _int4,
    "nvfp4": _nvfp4,
    "nvfp4_divided": _nvfp4_divided,
    "mxfp4": _mxfp4,
    "gpt_oss": _gpt_oss,
    "fp8": _fp8,
}
