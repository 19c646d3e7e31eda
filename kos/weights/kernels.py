"""Compiled loops of the merge and the exports: one pass over a block of rows, no temporaries.

A block is about a million values, so all its arrays stay in the processor's cache. What these
functions return is bit for bit what the torch functions beside them return (``int4``,
``nvfp4``, ``tally``), which is what runs where numba is missing. For an export:

- ``add_int4(packed_RW, scale_RG, delta_RC)``: base + update in float32;
- ``largest(rows_RC)``: the largest magnitude, for the scale of a whole weight;
- ``nvfp4_rows(rows_RC, scale_2)``: codes and block scales in ModelOpt's bytes;
- ``int4_rows(rows_RC)``: codes and scales by Kimi's rule.

Rows may be any part of a weight: only ``scale_2`` belongs to the whole of it.

Letters: R rows, C columns, W words of eight columns, G groups of 32, N blocks of 16, B bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from kos.weights import int4, nvfp4
from kos.weights.tally import Changed, Sums

try:
    from kos.weights import loops

    HAS_LOOPS = True
except ImportError:  # numba is an extra
    HAS_LOOPS = False


def int4_values(packed_RW: Tensor, scale_RG: Tensor, columns: int) -> Tensor:
    """Packed INT4 (groups of 32) as float32 (R, columns)."""
    if not (_fits(packed_RW, columns, int4.GROUP) and scale_RG.dtype == torch.bfloat16):
        return int4.dequantise(packed_RW, scale_RG, columns)
    out_RC = torch.empty(packed_RW.shape[0], columns)
    loops.int4_values(_bytes(packed_RW), _bits(scale_RG), _array(out_RC))
    return out_RC


def add_int4(packed_RW: Tensor, scale_RG: Tensor, delta_RC: Tensor) -> Tensor:
    """Packed INT4 (groups of 32) added to ``delta_RC`` (float32) in place, which is returned."""
    columns = delta_RC.shape[1]
    is_plain = scale_RG.dtype == torch.bfloat16 and delta_RC.is_contiguous()
    if not (is_plain and _fits(packed_RW, columns, int4.GROUP)):
        return delta_RC.add_(int4.dequantise(packed_RW, scale_RG, columns))
    loops.add_int4(_bytes(packed_RW), _bits(scale_RG), _array(delta_RC))
    return delta_RC


def int4_bf16(packed_RW: Tensor, scale_RG: Tensor, columns: int) -> Tensor:
    """Packed INT4 rounded to bfloat16 (R, columns), without float32 in between."""
    if not (_fits(packed_RW, columns, int4.GROUP) and scale_RG.dtype == torch.bfloat16):
        return int4.dequantise(packed_RW, scale_RG, columns).to(torch.bfloat16)
    out_RC = torch.empty(packed_RW.shape[0], columns, dtype=torch.bfloat16)
    loops.int4_bf16(_bytes(packed_RW), _bits(scale_RG), _array(out_RC.view(torch.uint16)))
    return out_RC


def largest(rows_RC: Tensor) -> float:
    """The largest magnitude; 0.0 of nothing. float32, contiguous."""
    if not HAS_LOOPS or not rows_RC.numel():
        return float(rows_RC.abs().amax()) if rows_RC.numel() else 0.0
    bits = loops.largest(_array(rows_RC.contiguous().view(-1)))
    return float(np.uint32(bits).view(np.float32))


def fold_int4(packed_RW: Tensor, scale_RG: Tensor, delta_RC: Tensor) -> tuple[Tensor, Sums]:
    """bfloat16(INT4 + delta) and what it changed."""
    rows, columns = delta_RC.shape
    if not (_fits(packed_RW, columns, int4.GROUP) and scale_RG.dtype == torch.bfloat16):
        return Sums.fold(int4.dequantise(packed_RW, scale_RG, columns), delta_RC)
    out_RC = torch.empty(rows, columns, dtype=torch.bfloat16)
    sums = loops.fold_int4(
        _bytes(packed_RW), _bits(scale_RG), _array(delta_RC), _array(out_RC.view(torch.uint16))
    )
    return out_RC, Sums(*sums)


def fold_plain(rows_RC: Tensor, delta_RC: Tensor) -> tuple[Tensor, Sums]:
    """bfloat16(rows + delta) and what it changed; rows of any float type."""
    if not HAS_LOOPS or rows_RC.dtype not in (torch.bfloat16, torch.float32):
        return Sums.fold(rows_RC.float(), delta_RC)
    out_RC = torch.empty(rows_RC.shape, dtype=torch.bfloat16)
    out, delta = _array(out_RC.view(torch.uint16)), _array(delta_RC.contiguous())
    if rows_RC.dtype == torch.bfloat16:
        return out_RC, Sums(*loops.fold_bf16(_bits(rows_RC), delta, out))
    return out_RC, Sums(*loops.fold_f32(_array(rows_RC.contiguous()), delta, out))


def repack_int4(
    packed_RW: Tensor, scale_RG: Tensor, delta_RC: Tensor
) -> tuple[Tensor, Tensor, Sums, Changed]:
    """INT4 + delta rounded by Kimi's rule: words, scales, and what it changed."""
    columns = delta_RC.shape[1]
    if _fits(packed_RW, columns, int4.GROUP) and scale_RG.dtype == torch.bfloat16:
        packed, scale = torch.empty_like(packed_RW), torch.empty_like(scale_RG)
        found = loops.repack_int4(
            _bytes(packed_RW),
            _bits(scale_RG),
            _array(delta_RC.contiguous()),
            _array(packed.view(torch.uint8)),
            _array(scale.view(torch.uint16)),
        )
        changed = Changed(int(found[6]), int(found[7]), scale.numel())
        return packed, scale, Sums(*found[:6]), changed
    base_RC = int4.dequantise(packed_RW, scale_RG, columns)
    packed, scale = int4.quantise(base_RC + delta_RC)
    kept_RC = int4.dequantise(packed, scale, columns).sub_(base_RC)
    changed = Changed(
        _differing(packed, packed_RW), int((scale != scale_RG).count_nonzero()), scale.numel()
    )
    return packed, scale, Sums.of(base_RC, delta_RC, kept_RC), changed


def _differing(a: Tensor, b: Tensor) -> int:
    """Nibbles that differ."""
    apart = a.contiguous().view(torch.uint8) ^ b.contiguous().view(torch.uint8)
    if not apart.any():
        return 0
    return int((apart & 0xF).count_nonzero() + (apart >> 4).count_nonzero())


def nvfp4_rows(rows_RC: Tensor, scale_2: Tensor) -> tuple[Tensor, Tensor]:
    """NVFP4 codes uint8 (R, C/2) and block scales float8_e4m3fn (R, C/16) of some rows.

    ``scale_2`` (float32, one value) is the largest magnitude of the whole weight, and of those
    it shares it with, over 2688. The bytes of ``NVFP4QTensor.quantize``, for float32 and
    bfloat16 rows alike.
    """
    rows, columns = rows_RC.shape
    if not HAS_LOOPS or columns % nvfp4.BLOCK:
        return nvfp4.quantise(rows_RC, scale_2)[:2]
    codes_RB = torch.empty(rows, columns // 2, dtype=torch.uint8)
    scale_RN = torch.empty(rows, columns // nvfp4.BLOCK, dtype=torch.uint8)
    rows_RC = rows_RC.float().contiguous()
    loops.nvfp4(_array(rows_RC), np.float32(scale_2.item()), _array(codes_RB), _array(scale_RN))
    return codes_RB, scale_RN.view(torch.float8_e4m3fn)


def int4_rows(rows_RC: Tensor) -> tuple[Tensor, Tensor]:
    """INT4 words int32 (R, C/8) and scales bfloat16 (R, C/32), as ``int4.quantise`` gives them."""
    rows, columns = rows_RC.shape
    if not HAS_LOOPS or columns % int4.GROUP:
        return int4.quantise(rows_RC)
    packed_RB = torch.empty(rows, columns // 2, dtype=torch.uint8)
    scale_RG = torch.empty(rows, columns // int4.GROUP, dtype=torch.bfloat16)
    rows_RC = rows_RC.float().contiguous()
    loops.int4(_array(rows_RC), _array(packed_RB), _array(scale_RG.view(torch.uint16)))
    return packed_RB.view(torch.int32), scale_RG


def _fits(packed: Tensor, columns: int, group: int) -> bool:
    return HAS_LOOPS and packed.dtype == torch.int32 and columns % group == 0


def _array(tensor: Tensor) -> Any:
    return tensor.numpy()


def _bytes(packed_RW: Tensor) -> Any:
    """Words as bytes (R, C/2): byte k holds column 2k in its low nibble."""
    return packed_RW.contiguous().view(torch.uint8).numpy()


def _bits(tensor: Tensor) -> Any:
    """bfloat16 as uint16 of the same shape."""
    return tensor.contiguous().view(torch.uint16).numpy()
