"""NVFP4 other than by nearest code under the largest value's scale.

Letters besides the package's: ``N`` blocks of 16 columns.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from kos.weights import nvfp4
from kos.weights.nvfp4 import BLOCK, CODE_MAX, SCALE_MAX, SCALE_MIN, Nvfp4Weight
from kos.weights.rounding.curvature import Diagonal, Full

# With four-over-six the block scales must leave room for amax / 4: 256 * 1.5 < 448.
ROOM = 256.0
# How far the sweep looks from the nominal scale, in steps of E4M3: from half of it to a quarter more.
SWEEP = range(-8, 3)


def nearest_value(scaled: Tensor) -> Tensor:
    """The E2M1 value nearest to each of ``scaled``; ties to the even code, beyond 6 to 6."""
    # Between 0, 2, 4 and 6 the values lie .5, 1 and 2 apart; round() sends ties to the even.
    step = _step(scaled)
    return (scaled / step).round_().mul_(step).clamp_(-CODE_MAX, CODE_MAX)


def stochastic_value(scaled: Tensor, draws: Tensor) -> Tensor:
    """One of the two E2M1 values around each of ``scaled``, so that the mean is ``scaled``."""
    step = _step(scaled)
    moved = (scaled.abs() / step).add_(draws).floor_().mul_(step).clamp_(max=CODE_MAX)
    return moved.copysign_(scaled)


def _step(scaled: Tensor) -> Tensor:
    size = scaled.abs()
    return torch.where(size < 2, 0.5, torch.where(size < 4, 1.0, 2.0))


def six(weight_RC: Tensor, scale_2: Tensor) -> Tensor:
    """Block scales E4M3 (R, N) by ModelOpt's rule: the largest value of a block becomes 6."""
    return _stored(_amax(weight_RC) / (CODE_MAX * scale_2))


def four_over_six(weight_RC: Tensor, scale_2: Tensor) -> Tensor:
    """Block scales E4M3 (R, N): the largest value becomes 6 or 4, whichever errs less.

    ``scale_2`` must be ``roomy_scale``. Source: Cook et al., "Four Over Six" (arXiv:2512.02010).
    """
    amax_RN = _amax(weight_RC)
    candidates = (_stored(amax_RN / (top * scale_2)) for top in (CODE_MAX, 4.0))
    return _best(weight_RC, scale_2, candidates)


def swept(weight_RC: Tensor, scale_2: Tensor) -> Tensor:
    """Block scales E4M3 (R, N): of those around the nominal one the one that errs least."""
    nominal_RN = six(weight_RC, scale_2).view(torch.uint8).to(torch.int16)
    # Positive E4M3 numbers are in the order of their bytes: 1 is 2^-9, 126 is 448.
    candidates = (
        (nominal_RN + offset).clamp_(1, 126).to(torch.uint8).view(torch.float8_e4m3fn)
        for offset in sorted(SWEEP, key=abs)
    )
    return _best(weight_RC, scale_2, candidates)


def roomy_scale(amax: float | Tensor) -> Tensor:
    """``weight_scale_2`` for four-over-six, float32 ()."""
    return torch.as_tensor(amax, dtype=torch.float32) / (CODE_MAX * ROOM)


def stored(values_RC: Tensor, scale_RN: Tensor, scale_2: Tensor) -> Nvfp4Weight:
    """``values_RC``, each an E2M1 value, as ModelOpt stores them."""
    return Nvfp4Weight(nvfp4.pack(nvfp4.encode(values_RC)), scale_RN, scale_2)


def scaled(weight_RC: Tensor, scale_RN: Tensor, scale_2: Tensor) -> Tensor:
    """float32 (R, C): the weight in units of its blocks' scales."""
    return weight_RC.float() / expanded(scale_RN, scale_2)


def expanded(scale_RN: Tensor, scale_2: Tensor) -> Tensor:
    """float32 (R, C): the whole scale at each column."""
    return (scale_RN.float() * scale_2).repeat_interleave(BLOCK, dim=1)


def activation_aware(
    weight_RC: Tensor, scale_RN: Tensor, scale_2: Tensor, curvature: Diagonal | Full
) -> Tensor:
    """E2M1 values (R, C) under the given scales that keep the output error small."""
    scale_NR = (scale_RN.float() * scale_2).T.contiguous()

    def grid(aim_R: Tensor, column: int) -> Tensor:
        scale_R = scale_NR[column // BLOCK]
        return nearest_value(aim_R / scale_R).mul_(scale_R)

    rounded_RC = curvature.rounded(weight_RC, grid)
    return nearest_value(scaled(rounded_RC, scale_RN, scale_2))


def _amax(weight_RC: Tensor) -> Tensor:
    return weight_RC.float().view(weight_RC.shape[0], -1, BLOCK).abs().amax(-1)


def _stored(scale_RN: Tensor) -> Tensor:
    scale_RN = torch.where(scale_RN == 0, 1.0, scale_RN)
    return scale_RN.clamp_(SCALE_MIN, SCALE_MAX).to(torch.float8_e4m3fn)


def _best(weight_RC: Tensor, scale_2: Tensor, candidates: Iterable[Tensor]) -> Tensor:
    """The candidate with the least squared error, block by block; the first wins a tie."""
    best_RN: Tensor | None = None
    least_RN = torch.tensor(0.0)
    for scale_RN in candidates:
        whole_RC = expanded(scale_RN, scale_2)
        error_RC = nearest_value(weight_RC / whole_RC).mul_(whole_RC).sub_(weight_RC)
        found_RN = error_RC.square_().view(weight_RC.shape[0], -1, BLOCK).sum(-1)
        if best_RN is None:
            best_RN, least_RN = scale_RN, found_RN
            continue
        is_better_RN = found_RN < least_RN
        raw_RN = torch.where(is_better_RN, scale_RN.view(torch.uint8), best_RN.view(torch.uint8))
        best_RN = raw_RN.view(torch.float8_e4m3fn)
        least_RN = torch.minimum(found_RN, least_RN)
    assert best_RN is not None, "there is always a nominal scale"
    return best_RN
