"""Random sequences of ragged length, and the gradient of a loss on them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from kos.rl.losses.base import Loss


class Case(NamedTuple):
    """Log-probabilities of policy and sampler, one advantage a sequence, the mask; all (B, T)."""

    logp: Tensor
    old: Tensor
    advantage: Tensor
    mask: Tensor

    @property
    def advantages_B(self) -> Tensor:
        return self.advantage[:, 0]


def make(seed: int = 0, *, drift: float = 0.6) -> Case:
    """Four sequences of at most six tokens; ``drift`` is how far the policies lie apart."""
    generator = torch.Generator().manual_seed(seed)
    logp = -torch.rand(4, 6, generator=generator, dtype=torch.float64) * 3 - 0.1
    old = logp + drift * torch.randn(4, 6, generator=generator, dtype=torch.float64)
    mask = torch.tensor(
        [[1.0] * length + [0.0] * (6 - length) for length in (6, 4, 5, 2)]
    ).double()
    advantage = torch.tensor([1.0, -0.5, 0.25, -0.75]).double()[:, None].expand(4, 6)
    return Case(logp, old, advantage, mask)


def gradient(loss: Loss, case: Case) -> Tensor:
    """dL/dlogp (B, T)."""
    leaf = case.logp.clone().requires_grad_()
    loss(leaf, case.old, case.advantage, case.mask).backward()
    assert leaf.grad is not None
    return leaf.grad
