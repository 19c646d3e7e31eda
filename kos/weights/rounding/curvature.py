"""What an error in a weight costs at its output: H, the mean of x x^T over the inputs x.

An error E (R, C) costs trace(E H E^T), the mean square it adds to the output. H comes in two
forms: full (C, C), or its diagonal with its leading eigenpairs, H ~ D + F F^T, which for wide
inputs is far smaller and keeps most of what matters.

``rounded`` walks the columns and rounds each one to where the errors already made are undone
best, as GPTQ does: Babai's nearest plane on the lattice of codes.

Least cost alone shrinks a small change, for what no strong input shows is cheapest left out:
on SmolLM2 a fifth to a half of it was lost at the outputs, in every layer alike, and such losses
add up where noise averages out. ``against_bias`` makes the part of an error that goes with the
change's own signal cost more; the change then arrives whole at a third of the noise of rounding
at random.
Source: Frantar et al., GPTQ (arXiv:2210.17323); Chen et al., "The geometry of LLM quantization:
GPTQ as Babai's nearest plane algorithm" (arXiv:2507.18553).
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

import torch
from torch import Tensor

from kos.errors import UserError

# Share of the mean diagonal added to it: directions the sample never showed still cost something.
DAMPING = 0.01
BLOCK = 128
# Most directions that a change is taken to have, and how small the least may be beside the first.
DIRECTIONS = 64
NEGLIGIBLE = 1e-4

# (aim_R, column) -> the values that the codes nearest to ``aim_R`` stand for.
Grid = Callable[[Tensor, int], Tensor]


class Diagonal:
    """H ~ D + F F^T with ``diagonal_C`` the diagonal of H itself and ``factor_CK`` = F."""

    def __init__(self, diagonal_C: Tensor, factor_CK: Tensor) -> None:
        _check(diagonal_C)
        self.importance_C = diagonal_C.double()
        self.factor_CK = factor_CK.double()
        rest_C = self.importance_C - self.factor_CK.square().sum(1)
        # The eigenvectors may hold all of a channel's energy: what remains must stay positive.
        damping = DAMPING * float(self.importance_C.mean())
        self.rest_C = rest_C.clamp_(min=0) + damping

    @classmethod
    def of_pairs(cls, diagonal_C: Tensor, values_K: Tensor, vectors_CK: Tensor) -> Diagonal:
        """From eigenpairs of H, largest first or not; negative ones count as none."""
        return cls(diagonal_C, vectors_CK * values_K.clamp(min=0).sqrt())

    def against_bias(self, delta_RC: Tensor, weight: float) -> Diagonal:
        """The same, with errors along the outputs of ``delta_RC`` counted ``weight`` times more."""
        signal_rC = directions(delta_RC).double()
        spread_Cr = self.factor_CK @ (self.factor_CK.T @ signal_rC.T)
        spread_Cr += self.rest_C[:, None] * signal_rC.T
        extra_Cr = weight**0.5 * _whitened(signal_rC, spread_Cr)
        found = copy(self)
        found.factor_CK = torch.cat((self.factor_CK, extra_Cr), dim=1)
        return found

    def inner(self, a_RC: Tensor, b_RC: Tensor) -> float:
        """trace(A H B^T): how alike two changes are at the outputs."""
        factor_CK, rest_C = self.factor_CK.float(), self.rest_C.float()
        apart = ((a_RC * b_RC) @ rest_C).double().sum()
        return float(apart + ((a_RC @ factor_CK) * (b_RC @ factor_CK)).double().sum())

    def rounded(self, wanted_RC: Tensor, grid: Grid) -> Tensor:
        """float32 (R, C) on the grid with a small cost of (rounded - wanted). O(R C K)."""
        order = self.importance_C.argsort(descending=True, stable=True)
        pull_CK = self._pulls(order).float()
        factor_CK = self.factor_CK.float()
        wanted_CR = wanted_RC.float().T.contiguous()
        out_CR = torch.empty_like(wanted_CR)
        # What the errors so far do along each eigenvector.
        made_RK = wanted_CR.new_zeros(wanted_CR.shape[1], factor_CK.shape[1])
        for column in order.tolist():
            aim_R = torch.addmv(wanted_CR[column], made_RK, pull_CK[column], alpha=-1)
            out_CR[column] = grid(aim_R, column)
            made_RK.addr_(out_CR[column] - wanted_CR[column], factor_CK[column])
        return out_CR.T.contiguous()

    def _pulls(self, order: Tensor) -> Tensor:
        """(C, K): how far each column best moves against the errors made before it.

        With the columns from j on still free, their best answer to p = sum e_i f_i is
        e_j = -f_j^T M^-1 p / d_j, M = I + sum over i >= j of f_i f_i^T / d_i. M^-1 grows by
        Sherman and Morrison's formula from the last column to the first.
        """
        num = self.factor_CK.shape[1]
        inverse_KK = torch.eye(num, dtype=torch.float64)
        pull_CK = torch.empty_like(self.factor_CK)
        for column in reversed(order.tolist()):
            factor_K, rest = self.factor_CK[column], self.rest_C[column]
            turned_K = inverse_KK @ factor_K
            turned_K /= torch.sqrt(rest + factor_K @ turned_K)
            inverse_KK.addr_(turned_K, turned_K, alpha=-1)
            pull_CK[column] = (inverse_KK @ factor_K) / rest
        return pull_CK


class Full:
    """H as it is, (C, C): exact, for inputs of a few thousand channels."""

    def __init__(self, moment_CC: Tensor) -> None:
        diagonal_C = moment_CC.diagonal()
        _check(diagonal_C)
        self.moment_CC = moment_CC.double()
        self.importance_C = diagonal_C.double()

    def against_bias(self, delta_RC: Tensor, weight: float) -> Full:
        """The same, with errors along the outputs of ``delta_RC`` counted ``weight`` times more."""
        signal_rC = directions(delta_RC).double()
        extra_Cr = weight**0.5 * _whitened(signal_rC, self.moment_CC @ signal_rC.T)
        found = copy(self)
        found.moment_CC = self.moment_CC + extra_Cr @ extra_Cr.T
        return found

    def inner(self, a_RC: Tensor, b_RC: Tensor) -> float:
        """trace(A H B^T): how alike two changes are at the outputs."""
        return float(((a_RC @ self.moment_CC.float()) * b_RC).double().sum())

    def rounded(self, wanted_RC: Tensor, grid: Grid) -> Tensor:
        """float32 (R, C) on the grid with a small cost of (rounded - wanted). O(R C^2)."""
        # From the last to the first: with H = U^T U the best e_i against the e_j of j > i is
        # -sum U_ij e_j / U_ii. So the weightiest column, which must be chosen first, comes last.
        order = self.importance_C.argsort(stable=True)
        upper_CC = self._triangle(order)
        wanted_CR = wanted_RC.float().T[order].contiguous()
        error_CR = torch.zeros_like(wanted_CR)
        columns = order.tolist()
        for stop in range(len(columns), 0, -BLOCK):
            start = max(0, stop - BLOCK)
            aim_BR = wanted_CR[start:stop] - upper_CC[start:stop, stop:] @ error_CR[stop:]
            for i in range(stop - 1, start - 1, -1):
                later = upper_CC[i, i + 1 : stop] @ error_CR[i + 1 : stop]
                aim_R = aim_BR[i - start] - later
                error_CR[i] = grid(aim_R, columns[i]) - wanted_CR[i]
        out_CR = torch.empty_like(wanted_CR)
        out_CR[order] = wanted_CR + error_CR
        return out_CR.T.contiguous()

    def _triangle(self, order: Tensor) -> Tensor:
        """float32 U with unit diagonal, H = U^T diag U in the order of the columns."""
        damped_CC = self.moment_CC[order][:, order]
        damped_CC.diagonal().add_(DAMPING * float(self.importance_C.mean()))
        upper_CC = torch.linalg.cholesky(damped_CC, upper=True)
        unit_CC: Tensor = upper_CC / upper_CC.diagonal()[:, None]
        return unit_CC.float()


def directions(delta_RC: Tensor) -> Tensor:
    """Orthonormal (r, C): what inputs a change of low rank listens to, its strongest 64 at most."""
    draw = torch.Generator().manual_seed(0)
    mixed_rC = torch.randn(DIRECTIONS, delta_RC.shape[0], generator=draw) @ delta_RC.float()
    _, size_r, found_rC = torch.linalg.svd(mixed_rC, full_matrices=False)
    kept_rC: Tensor = found_rC[size_r > NEGLIGIBLE * size_r[0]]
    return kept_rC


def _whitened(signal_rC: Tensor, spread_Cr: Tensor) -> Tensor:
    """H A^T (A H A^T)^-1/2 (C, r), given A and H A^T: an error's part along the signals' outputs."""
    values_r, vectors_rr = torch.linalg.eigh(signal_rC @ spread_Cr)
    is_live_r = values_r > NEGLIGIBLE**2 * values_r[-1]
    found_Cr: Tensor = spread_Cr @ vectors_rr[:, is_live_r] / values_r[is_live_r].sqrt()
    return found_Cr


def _check(diagonal_C: Tensor) -> None:
    if not torch.isfinite(diagonal_C).all() or float(diagonal_C.sum()) <= 0:
        raise UserError(
            "the calibration saw no input of this weight, or one that is not finite: calibrate "
            "on more text, or choose a format that needs no activations"
        )
