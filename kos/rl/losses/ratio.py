"""Losses on the importance ratio: REINFORCE with weights, PPO, GRPO, Dr. GRPO, GSPO.

Bounds are absolute ratios, as Tinker has them. What other systems call ``clip_ratio_high=0.2``
is 1.2 here.

Shapes: ``B`` sequences, ``T`` tokens, ``G`` answers to one prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kos.rl.advantages import standardise
from kos.rl.losses.base import LOSSES, Bounded, Loss, Normalisation, Wire, sequence_mean

if TYPE_CHECKING:
    from torch import Tensor


@LOSSES.register
class ImportanceSampling(Loss):
    """Importance sampling: REINFORCE corrected for who sampled.

    L = -sum exp(p - q) A, whose gradient is -ratio * A * grad p. Source: Tinker's default.
    """

    kind: Literal["importance_sampling"] = "importance_sampling"

    def __call__(
        self, logp_BT: Tensor, old_logp_BT: Tensor, advantage_BT: Tensor, mask_BT: Tensor
    ) -> Tensor:
        return -((logp_BT - old_logp_BT).exp() * advantage_BT * mask_BT).sum()

    def wire(self) -> Wire:
        """``importance_sampling``, without keys."""
        return Wire("importance_sampling", {})


class Clipped(Bounded):
    """What PPO's family shares: the smaller of the plain and the clipped objective."""

    def __call__(
        self, logp_BT: Tensor, old_logp_BT: Tensor, advantage_BT: Tensor, mask_BT: Tensor
    ) -> Tensor:
        ratio_BT = (logp_BT - old_logp_BT).exp()
        bounded_BT = ratio_BT.clamp(self.clip_low, self.clip_high)
        gain_BT = (ratio_BT * advantage_BT).minimum(bounded_BT * advantage_BT)
        return -(gain_BT * mask_BT).sum()

    def is_clipped(self, log_ratio: float, advantage: float) -> bool:
        """Whether the clipped side is the smaller one, so that the token has no gradient."""
        if advantage > 0:
            return log_ratio > self.log_high
        return advantage < 0 and log_ratio < self.log_low

    def wire(self) -> Wire | None:
        """Tinker's ``ppo``, whose bounds are absolute, too."""
        bounds = {"clip_low_threshold": self.clip_low, "clip_high_threshold": self.clip_high}
        return Wire("ppo", bounds)


@LOSSES.register
class Ppo(Clipped):
    """PPO: a token that has moved too far in its own direction has no gradient.

    Advantages are rewards minus the group's mean. Source: arXiv:1707.06347, eq. 7.
    """

    kind: Literal["ppo"] = "ppo"


@LOSSES.register
class Grpo(Clipped):
    """GRPO: PPO with advantages over the group's deviation, every answer weighing the same.

    Source: DeepSeekMath, arXiv:2402.03300, eq. 3, without its KL term.
    """

    kind: Literal["grpo"] = "grpo"
    normalisation: ClassVar[Normalisation] = "seq_mean"

    def advantages(self, rewards_G: Sequence[float]) -> list[float]:
        """Divided by the group's deviation."""
        return standardise(rewards_G)


@LOSSES.register
class DrGrpo(Clipped):
    """Dr. GRPO: GRPO without its two biases, the deviation and the answer's length.

    Source: arXiv:2503.20783, sec. 3.2.
    """

    kind: Literal["dr_grpo"] = "dr_grpo"
    normalisation: ClassVar[Normalisation] = "dr"


@LOSSES.register
class Gspo(Clipped):
    """GSPO: one ratio a sequence, the geometric mean of its tokens' ratios.

    s = exp(mean(p - q)); a token carries sg(s) exp(p - sg(p)), so its value is s and its gradient
    s * grad p. Source: arXiv:2507.18071, eq. 5 and 13 (GSPO-token); the bounds are its own.
    """

    kind: Literal["gspo"] = "gspo"
    normalisation: ClassVar[Normalisation] = "seq_mean"
    clip_low: float = Field(0.9997, ge=0, le=1, description="Lowest sequence ratio (absolute).")
    clip_high: float = Field(1.0004, ge=1, description="Highest sequence ratio (absolute).")

    def __call__(
        self, logp_BT: Tensor, old_logp_BT: Tensor, advantage_BT: Tensor, mask_BT: Tensor
    ) -> Tensor:
        sequence_B1 = sequence_mean(logp_BT - old_logp_BT, mask_BT).detach()[:, None]
        # The sequence's ratio in value, the token's log-probability in gradient.
        reached_BT = sequence_B1 + logp_BT - logp_BT.detach()
        return super().__call__(reached_BT, logp_BT.new_zeros(()), advantage_BT, mask_BT)

    def advantages(self, rewards_G: Sequence[float]) -> list[float]:
        """Divided by the group's deviation, as in GRPO."""
        return standardise(rewards_G)

    def is_clipped(self, log_ratio: float, advantage: float) -> bool:
        """Not told from one token: the ratio is the sequence's."""
        return False

    def wire(self) -> Wire | None:
        """Services take another mask for it; it travels as weighted cross-entropy."""
        return None
