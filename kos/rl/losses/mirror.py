"""Kimi's losses: mirror descent towards the reward-tilted policy, and fitting the best.

Delta is the log-ratio of a whole answer, log pi(y|x) - log pi_i(y|x), where pi_i sampled it.

Shapes: ``B`` sequences, ``T`` tokens, ``G`` answers to one prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field

from kos.rl.advantages import best, centre, centre_on_partition
from kos.rl.losses.base import (
    LOSSES,
    Bounded,
    Loss,
    Normalisation,
    Wire,
    sequence_mean,
    sequence_sum,
)

if TYPE_CHECKING:
    from torch import Tensor


class Regularised(Loss):
    """What the losses with a pull back to the sampling policy share."""

    tau: float = Field(0.1, gt=0, description="Strength of the pull to the policy that sampled.")

    def scaled(self, factor: float) -> Self:
        """``tau`` times ``factor``."""
        return self.model_copy(update={"tau": self.tau * factor})


@LOSSES.register
class MirrorDescent(Regularised):
    """Kimi k1.5: online mirror descent, whole answers, no ratio and no clip.

    L = -sum_j (A_j S_j - tau/2 Delta_j^2), S_j the answer's log-probability. The optimiser is
    reset in every iteration, because each one is another problem with another reference.
    Source: arXiv:2501.12599, eq. 2 and 3, without its constant factor 1/k.
    """

    kind: Literal["mirror_descent"] = "mirror_descent"
    resets_optimiser: ClassVar[bool] = True
    baseline: Literal["mean", "log_z"] = Field(
        "mean", description="What the reward is held against: its mean, or tau log Z."
    )

    def __call__(
        self, logp_BT: Tensor, old_logp_BT: Tensor, advantage_BT: Tensor, mask_BT: Tensor
    ) -> Tensor:
        delta_B = sequence_sum(logp_BT - old_logp_BT, mask_BT)
        gain_B = sequence_sum(advantage_BT * logp_BT, mask_BT)
        return (self.tau / 2 * delta_B**2 - gain_B).sum()

    def advantages(self, rewards_G: Sequence[float]) -> list[float]:
        """Reward minus the baseline."""
        if self.baseline == "mean":
            return centre(rewards_G)
        return centre_on_partition(rewards_G, self.tau)


@LOSSES.register
class SquaredMirrorDescent(Regularised):
    """Kimi K2: the squared form, sum_j (r_j - mean - tau Delta_j)^2.

    Its gradient is 2 tau times that of k1.5's. Source: arXiv:2507.20534, sec. 3.2.3.
    """

    kind: Literal["kimi_k2"] = "kimi_k2"

    def __call__(
        self, logp_BT: Tensor, old_logp_BT: Tensor, advantage_BT: Tensor, mask_BT: Tensor
    ) -> Tensor:
        delta_B = sequence_sum(logp_BT - old_logp_BT, mask_BT)
        advantage_B = sequence_mean(advantage_BT, mask_BT)
        return ((advantage_B - self.tau * delta_B) ** 2).sum()

    def scaled(self, factor: float) -> Self:
        """``tau`` times ``factor``: with such advantages the loss is times its square."""
        return super().scaled(factor)


@LOSSES.register
class TokenClip(Regularised, Bounded):
    """Kimi K2.5: ratios out of bounds have no gradient, whichever way the advantage points.

    L = -sum (clip(ratio, low, high) A - tau (log ratio)^2), over the mean token of the step.
    Source: arXiv:2602.02276, sec. 4.4.2.
    """

    kind: Literal["kimi_k25"] = "kimi_k25"
    normalisation: ClassVar[Normalisation] = "token_mean"
    tau: float = Field(0.01, ge=0, description="Strength of the pull to the policy that sampled.")
    clip_low: float = Field(0.5, ge=0, le=1, description="Lowest importance ratio (absolute).")
    clip_high: float = Field(2.0, ge=1, description="Highest importance ratio (absolute).")

    def __call__(
        self, logp_BT: Tensor, old_logp_BT: Tensor, advantage_BT: Tensor, mask_BT: Tensor
    ) -> Tensor:
        log_ratio_BT = logp_BT - old_logp_BT
        bounded_BT = log_ratio_BT.exp().clamp(self.clip_low, self.clip_high)
        pull_BT = self.tau * log_ratio_BT**2
        return ((pull_BT - bounded_BT * advantage_BT) * mask_BT).sum()

    def is_clipped(self, log_ratio: float, advantage: float) -> bool:
        """Whether the policy gradient of the token is 0."""
        return not self.log_low <= log_ratio <= self.log_high


@LOSSES.register
class Dro(Regularised):
    """DRO: the token-level cousin of k1.5, as Tinker has it.

    L = -sum (A p - beta/2 (p - q)^2); ``tau`` is beta. Source: arXiv:2405.19107; Tinker's ``dro``.
    """

    kind: Literal["dro"] = "dro"
    tau: float = Field(0.05, gt=0, description="Strength of the pull to the policy that sampled.")

    def __call__(
        self, logp_BT: Tensor, old_logp_BT: Tensor, advantage_BT: Tensor, mask_BT: Tensor
    ) -> Tensor:
        pull_BT = self.tau / 2 * (logp_BT - old_logp_BT) ** 2
        return ((pull_BT - advantage_BT * logp_BT) * mask_BT).sum()

    def wire(self) -> Wire:
        """``dro`` with its ``beta``."""
        return Wire("dro", {"beta": self.tau})


@LOSSES.register
class Rest(Loss):
    """ReST: fit the best answers of each group and learn nothing from the others.

    What k1.5 compares negative gradients with (arXiv:2501.12599, sec. 3.5). Source:
    arXiv:2308.08998, with the group's best for its threshold.
    """

    kind: Literal["rest"] = "rest"

    def __call__(
        self, logp_BT: Tensor, old_logp_BT: Tensor, advantage_BT: Tensor, mask_BT: Tensor
    ) -> Tensor:
        return -(advantage_BT * logp_BT * mask_BT).sum()

    def advantages(self, rewards_G: Sequence[float]) -> list[float]:
        """1 for the best, 0 for the others."""
        return best(rewards_G)

    def wire(self) -> Wire:
        """Weighted cross-entropy is the loss itself."""
        return Wire("cross_entropy", {})
