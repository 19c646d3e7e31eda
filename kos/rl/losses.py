"""Policy losses. Add one here: a class with ``kind``, its knobs and ``__call__``.

Shapes: ``B`` sequences, ``T`` tokens; every tensor is (B, T). A loss is a SUM over the tokens
where ``mask`` is 1 (Tinker's convention), so that micro-batches add up to the same gradient;
normalisation is a factor on the advantages. Tensors bring their own methods, so this file
needs torch only for its types and the web process can read the knobs without loading it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from kos.registry import Choice, Registry

if TYPE_CHECKING:
    from torch import Tensor


class Loss(Choice):
    """A scalar to minimise, from per-token log-probabilities and advantages."""

    def __call__(
        self, logp_BT: Tensor, old_logp_BT: Tensor, advantage_BT: Tensor, mask_BT: Tensor
    ) -> Tensor:
        """Sum of the loss over the tokens where ``mask_BT`` is 1; shape ()."""
        raise NotImplementedError


LOSSES: Registry[Loss] = Registry("loss")


@LOSSES.register
class Cispo(Loss):
    """CISPO: clip the importance weight, keep every token's gradient.

    Source: MiniMax-M1, arXiv:2506.13585, eq. 4 and 5. Kos-1 ran it with bounds 0 and 5.
    """

    kind: Literal["cispo"] = "cispo"
    clip_low: float = Field(0.0, ge=0, description="Lowest importance ratio (absolute).")
    clip_high: float = Field(5.0, gt=0, description="Highest importance ratio (absolute).")

    def __call__(
        self, logp_BT: Tensor, old_logp_BT: Tensor, advantage_BT: Tensor, mask_BT: Tensor
    ) -> Tensor:
        ratio_BT = (logp_BT - old_logp_BT).exp().clamp(self.clip_low, self.clip_high).detach()
        return -(ratio_BT * advantage_BT * logp_BT * mask_BT).sum()

    def is_outside(self, log_ratio: float) -> bool:
        """Whether the clip holds the ratio exp(``log_ratio``)."""
        low = math.log(self.clip_low) if self.clip_low else -math.inf
        return not low <= log_ratio <= math.log(self.clip_high)


class CrossEntropy(Loss):
    """Negative log-likelihood with the advantages as weights; what SFT minimises.

    Not registered: it has no use in reinforcement learning.
    """

    kind: Literal["cross_entropy"] = "cross_entropy"

    def __call__(
        self, logp_BT: Tensor, old_logp_BT: Tensor, advantage_BT: Tensor, mask_BT: Tensor
    ) -> Tensor:
        return -(advantage_BT * logp_BT * mask_BT).sum()
