"""CISPO, the loss of Kos-1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from kos.rl.losses.base import LOSSES, Bounded, Wire

if TYPE_CHECKING:
    from torch import Tensor


@LOSSES.register
class Cispo(Bounded):
    """CISPO: clip the importance weight, keep every token's gradient.

    Source: MiniMax-M1, arXiv:2506.13585, eq. 4 and 5. Kos-1 ran it with bounds 0 and 5.
    """

    kind: Literal["cispo"] = "cispo"
    clip_low: float = Field(0.0, ge=0, le=1, description="Lowest importance ratio (absolute).")
    clip_high: float = Field(5.0, ge=1, description="Highest importance ratio (absolute).")

    def __call__(
        self, logp_BT: Tensor, old_logp_BT: Tensor, advantage_BT: Tensor, mask_BT: Tensor
    ) -> Tensor:
        ratio_BT = (logp_BT - old_logp_BT).exp().clamp(self.clip_low, self.clip_high).detach()
        return -(ratio_BT * advantage_BT * logp_BT * mask_BT).sum()

    def is_clipped(self, log_ratio: float, advantage: float) -> bool:
        """Whether the bounds hold the ratio."""
        return not self.log_low <= log_ratio <= self.log_high

    def wire(self) -> Wire:
        """Tinker's bounds are absolute, too."""
        bounds = {"clip_low_threshold": self.clip_low, "clip_high_threshold": self.clip_high}
        return Wire("cispo", bounds)
