"""Policy losses. Add one in this folder: a class with ``kind``, its knobs and ``__call__``.

Shapes: ``B`` sequences, ``T`` tokens, ``G`` answers to one prompt; every tensor is (B, T). A loss
is a SUM over the tokens where ``mask`` is 1 (Tinker's convention), so that micro-batches add up
to the same gradient; normalisation is a factor on the advantages. Tensors bring their own
methods, so these files need torch only for its types and the web process can read the knobs
without loading it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from kos.registry import Choice, Registry
from kos.rl.advantages import centre

if TYPE_CHECKING:
    from torch import Tensor


Normalisation = Literal["sum", "token_mean", "seq_mean", "dr"]


class Wire(NamedTuple):
    """A loss as a Tinker-compatible service names it, with its keys."""

    name: str
    config: Mapping[str, float]


class Loss(Choice):
    """A scalar to minimise, from per-token log-probabilities and advantages."""

    # Whether the optimiser forgets its moments at the start of every iteration (k1.5).
    resets_optimiser: ClassVar[bool] = False
    # How the loss's source weighs tokens; ``kos.rl.normalise`` makes it a factor.
    normalisation: ClassVar[Normalisation] = "sum"

    def __call__(
        self, logp_BT: Tensor, old_logp_BT: Tensor, advantage_BT: Tensor, mask_BT: Tensor
    ) -> Tensor:
        """Sum of the loss over the tokens where ``mask_BT`` is 1; shape ()."""
        raise NotImplementedError

    def advantages(self, rewards_G: Sequence[float]) -> list[float]:
        """One weight an answer; the loss may want another baseline than the group's mean."""
        return centre(rewards_G)

    def scaled(self, factor: float) -> Loss:
        """The loss with what does not grow with the advantages times ``factor``.

        With the advantages times the same factor it is the whole loss times ``factor``.
        """
        return self

    def is_clipped(self, log_ratio: float, advantage: float) -> bool:
        """Whether the loss bounds or drops a token of this log-ratio, for the clip fraction."""
        return False

    def wire(self) -> Wire | None:
        """The service's own loss that is the same; None sends it as weighted cross-entropy."""
        return None

    def weights(
        self, logp_BT: Tensor, old_logp_BT: Tensor, advantage_BT: Tensor, mask_BT: Tensor
    ) -> Tensor:
        """-dL/dlogp (B, T): cross-entropy with these weights has this loss's gradient."""
        leaf_BT: Any = logp_BT.detach().clone().requires_grad_()
        self(leaf_BT, old_logp_BT, advantage_BT, mask_BT).backward()  # type: ignore[no-untyped-call]
        gradient: Tensor = leaf_BT.grad
        return -gradient


class Bounded(Loss):
    """A loss with bounds on the importance ratio, absolute: 0.8 and 1.2, not 0.2."""

    clip_low: float = Field(0.8, ge=0, le=1, description="Lowest importance ratio (absolute).")
    clip_high: float = Field(1.2, ge=1, description="Highest importance ratio (absolute).")

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        if self.clip_low >= self.clip_high:
            raise ValueError(
                f"the lowest ratio {self.clip_low:g} must be below the highest {self.clip_high:g}"
            )
        return self

    @property
    def log_low(self) -> float:
        """The lower bound of the log-ratio; minus infinity for none."""
        return math.log(self.clip_low) if self.clip_low else -math.inf

    @property
    def log_high(self) -> float:
        """The upper bound of the log-ratio."""
        return math.log(self.clip_high)


LOSSES: Registry[Loss] = Registry("loss")


def sequence_sum(value_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Sum (B,) over the masked tokens of each sequence."""
    return (value_BT * mask_BT).sum(-1)


def sequence_mean(value_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Mean (B,) over the masked tokens of each sequence; 0 for one without any."""
    return sequence_sum(value_BT, mask_BT) / mask_BT.sum(-1).clamp(min=1)


class CrossEntropy(Loss):
    """Negative log-likelihood with the advantages as weights; what SFT minimises.

    Not registered: it has no use in reinforcement learning.
    """

    kind: Literal["cross_entropy"] = "cross_entropy"

    def __call__(
        self, logp_BT: Tensor, old_logp_BT: Tensor, advantage_BT: Tensor, mask_BT: Tensor
    ) -> Tensor:
        return -(advantage_BT * logp_BT * mask_BT).sum()

    def wire(self) -> Wire:
        """``cross_entropy``; the advantages travel as its weights."""
        return Wire("cross_entropy", {})
