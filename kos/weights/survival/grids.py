"""What stored tensors say of their grid: its step, and which codes and scales moved."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor

from kos.weights.formats.base import ExportFormat, Target
from kos.weights.survival.sums import Sums

PACKED, SCALE, SCALE_2 = ".weight_packed", ".weight_scale", ".weight_scale_2"
# Bits of a number as safetensors calls it.
BITS = {"U8": 8, "I32": 32, "I64": 64, "BF16": 16, "F16": 16, "F32": 32, "F8_E4M3": 8}


def compared(
    name: str, before: Mapping[str, Tensor], after: Mapping[str, Tensor], merged_RC: Tensor
) -> Sums:
    """Codes and scales that differ, and the step of the grid after, as sums over the weights."""
    sums = Sums()
    mask_RC = changed(before, after, merged_RC.shape)
    if mask_RC is not None:
        sums.codes_changed = float(mask_RC.sum())
    stem = name.removesuffix(".weight")
    scale = after.get(stem + SCALE)
    if scale is not None and scale.dim() == 2:
        was = before[stem + SCALE]
        sums.num_scales = scale.numel()
        sums.scales_changed = float((_raw(was) != _raw(scale)).any(-1).sum())
        per_scale = merged_RC.numel() / scale.numel()
        whole, half = _step(stem, after, scale)
        sums.scale = float(whole.double().sum()) * per_scale
        sums.half_step = sums.scale * half
    elif name in after and after[name].dtype == torch.bfloat16:
        sums.half_step = _half_ulps(merged_RC)
    return sums


def changed(
    before: Mapping[str, Tensor], after: Mapping[str, Tensor], shape: tuple[int, ...]
) -> Tensor | None:
    """bool (R, C): whose code differs; None for a layout whose codes are not told apart."""
    largest = max(after, key=lambda key: after[key].nbytes)
    was, now = before[largest], after[largest]
    if tuple(now.shape) == tuple(shape):
        return (_raw(was) != _raw(now)).any(-1)
    if now.dtype not in (torch.uint8, torch.int32) or not largest.endswith((PACKED, ".weight")):
        return None
    if now.nbytes * 2 < prod(shape):
        return None
    was_RC, now_RC = _nibbles(was), _nibbles(now)
    mask_RC = was_RC != now_RC
    if now.dtype == torch.uint8:
        # E2M1 has two zeros, and a tiny change turns one into the other: nothing has moved.
        mask_RC &= ((was_RC | now_RC) & 0x7) != 0
    return mask_RC[:, : shape[1]]


def count_bits(so_far: tuple[int, int], format: ExportFormat, target: Target) -> tuple[int, int]:
    """Stored bits and weights, with those of ``target`` added."""
    rows, columns = target.base_RC.shape
    parts = format.parts(target.name, (rows, columns)).values()
    bits = sum(BITS[part.dtype] * prod(part.shape) for part in parts)
    return so_far[0] + bits, so_far[1] + rows * columns


def _raw(values: Tensor) -> Tensor:
    """uint8 (..., bytes): comparable whatever the type."""
    return values.contiguous().view(torch.uint8).view(*values.shape, values.element_size())


def _nibbles(codes: Tensor) -> Tensor:
    bytes_RB = codes.contiguous().view(torch.uint8)
    return torch.stack((bytes_RB & 0xF, bytes_RB >> 4), dim=-1).flatten(1)


def _step(stem: str, stored: Mapping[str, Tensor], scale: Tensor) -> tuple[Tensor, float]:
    """The whole scale of each block, and what share of it half a step is at the low end."""
    if stem + SCALE_2 in stored:
        return scale.float() * stored[stem + SCALE_2].float(), 0.25
    if scale.dtype == torch.uint8:
        return torch.exp2(scale.float() - 127), 0.25
    return scale.float(), 0.5


def _half_ulps(weight_RC: Tensor) -> float:
    """Half the distance between neighbouring BF16 numbers at each weight, summed."""
    _, exponent = torch.frexp(weight_RC)
    # frexp's mantissa lies in [.5, 1): 8 bits from there on are kept.
    return float(torch.exp2((exponent - 9).double()).sum())
