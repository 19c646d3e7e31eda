"""INT4 in place: the base's codes and scales stay, only delta / scale is rounded.

A checkpoint trained for INT4 lies exactly on its grid, and a trained change is a hundredth of a
step, so rounding to the nearest code returns the base. Rounding the change alone without bias
keeps it on average; choosing the codes by what they do to the outputs keeps it with less noise.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kos.weights.int4 import GROUP
from kos.weights.rounding.curvature import Diagonal, Full

# What four bits hold. A base by Kimi's rule never uses -8, but every engine reads it.
LOW, HIGH = -8, 7


def nearest(codes_RC: Tensor, scale_RG: Tensor, delta_RC: Tensor) -> Tensor:
    """Codes int8 (R, C) of base + delta on the base's own scales, each the nearest."""
    return _moved(codes_RC, (delta_RC / expanded(scale_RG)).round())


def stochastic(codes_RC: Tensor, scale_RG: Tensor, delta_RC: Tensor, draws_RC: Tensor) -> Tensor:
    """Codes int8 (R, C) whose mean over the draws is base + delta, but where a code is at its end.

    ``draws_RC`` is uniform in [0, 1). A code moves up with the chance delta / scale, so about
    0.7 % of the codes of a usual adapter move, by one.
    """
    return _moved(codes_RC, (delta_RC / expanded(scale_RG)).add_(draws_RC).floor_())


def activation_aware(merged_RC: Tensor, scale_RG: Tensor, curvature: Diagonal | Full) -> Tensor:
    """Codes int8 (R, C) for base + delta on the base's own scales, with a small output error.

    A code at its end carries its error on to the next columns.
    """
    scale_GR = scale_RG.float().T.contiguous()

    def grid(aim_R: Tensor, column: int) -> Tensor:
        scale_R = scale_GR[column // GROUP]
        return (aim_R / scale_R).round_().clamp_(LOW, HIGH).mul_(scale_R)

    rounded_RC = curvature.rounded(merged_RC, grid)
    return (rounded_RC / expanded(scale_RG)).round_().to(torch.int8)


def expanded(scale_RG: Tensor) -> Tensor:
    """float32 (R, C): each group's scale at its columns."""
    return scale_RG.float().repeat_interleave(GROUP, dim=1)


def with_free_groups(codes_RC: Tensor, scale_RG: Tensor, delta_RC: Tensor) -> Tensor:
    """``scale_RG`` with a step fit for the change where a group of the base is all zeros.

    Such a group's scale says nothing (Kimi's rule writes 1), and a move by a whole 1 would be an
    outlier. Kept in the scales' own dtype.
    """
    is_free_RG = ~_grouped(codes_RC).any(-1)
    fit_RG = (_grouped(delta_RC).abs().amax(-1) / HIGH).to(scale_RG.dtype)
    return torch.where(is_free_RG & (fit_RG > 0), fit_RG, scale_RG)


def _grouped(values_RC: Tensor) -> Tensor:
    return values_RC.view(values_RC.shape[0], -1, GROUP)


def _moved(codes_RC: Tensor, steps_RC: Tensor) -> Tensor:
    return steps_RC.add_(codes_RC).clamp_(LOW, HIGH).to(torch.int8)
