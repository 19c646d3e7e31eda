"""Running statistics of one input: largest magnitude, and second moments where asked for.

Letters: N tokens, C columns, K leading eigenvectors.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

# Up to this many columns the whole decomposition is cheaper than an iteration.
EXACT = 1024
ROUNDS = 8
SPARE = 8


@dataclass
class Running:
    """What is known of one input so far. ``moment_CC`` is the sum of x x^T, float32."""

    amax: float = 0.0
    num_tokens: int = 0
    has_moments: bool = False
    moment_CC: Tensor | None = field(default=None, repr=False)

    def add(self, x: Tensor) -> None:
        """Count tokens (..., C) of any float type; none at all is fine."""
        x_NC = x.detach().reshape(-1, x.shape[-1])
        if not len(x_NC):
            return
        self.amax = max(self.amax, float(x_NC.abs().amax()))
        self.num_tokens += len(x_NC)
        if self.has_moments:
            x_NC = x_NC.float()
            if self.moment_CC is None:
                self.moment_CC = torch.zeros(x_NC.shape[1], x_NC.shape[1], device=x_NC.device)
            self.moment_CC.addmm_(x_NC.T, x_NC)

    def tensors(self, num_eigenvectors: int) -> dict[str, Tensor]:
        """``diagonal`` (C,), ``values`` (K,) from largest to smallest, ``vectors`` (C, K).

        Of the mean of x x^T, float32 on the CPU; empty without tokens.
        """
        if self.moment_CC is None:
            return {}
        mean_CC = self.moment_CC / self.num_tokens
        found = {"diagonal": mean_CC.diagonal().clone()}
        count = min(num_eigenvectors, len(mean_CC))
        if count:
            found["values"], found["vectors"] = leading(mean_CC, count)
        return {name: value.cpu().contiguous() for name, value in found.items()}


def leading(matrix_CC: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` largest eigenvalues and vectors of a symmetric matrix, largest first.

    Subspace iteration from a seeded start for large matrices: the same for the same matrix.
    Source: Halko, Martinsson and Tropp, arXiv 0909.4061, algorithm 4.4.
    """
    size = len(matrix_CC)
    if size <= EXACT or (count + SPARE) * 4 >= size:
        values, vectors = torch.linalg.eigh(matrix_CC)
        return values.flip(0)[:count].clone(), vectors.flip(1)[:, :count].contiguous()
    generator = torch.Generator().manual_seed(0)
    basis = torch.randn(size, count + SPARE, generator=generator).to(matrix_CC.device)
    for _ in range(ROUNDS):
        basis, _ = torch.linalg.qr(matrix_CC @ basis)
    values, inner = torch.linalg.eigh(basis.T @ matrix_CC @ basis)
    vectors = basis @ inner
    return values.flip(0)[:count].clone(), vectors.flip(1)[:, :count].contiguous()
