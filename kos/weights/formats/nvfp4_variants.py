"""NVFP4 in ModelOpt's layout, with codes or block scales chosen otherwise.

The better nearest rounding reproduces the base (four-over-six, the sweep), the less of a small
change survives it; measured in benchmarks/survival.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kos.weights.formats.base import FORMATS, Needs, Target
from kos.weights.formats.int4_unbiased import BIAS_WEIGHT, EIGENVECTORS, curvature_of
from kos.weights.formats.nvfp4 import Nvfp4Layout

if TYPE_CHECKING:
    from torch import Tensor

    from kos.weights.nvfp4 import Nvfp4Weight

Rule = Literal["modelopt", "four_over_six", "mse"]
SCALES = (
    "Which block scale: the largest value becomes 6; 6 or 4, whichever errs less; or the one of "
    "eleven neighbours that errs least."
)


class Variant(Nvfp4Layout):
    """NVFP4 with block scales by ``rule``. No choice itself."""

    @property
    def rule(self) -> Rule:
        """Which block scales: see ``SCALES``."""
        return "modelopt"

    def rounded(self, target: Target, merged_RC: Tensor, amax: Tensor) -> Nvfp4Weight:
        """Scales first, then the codes under them."""
        from kos.weights import nvfp4
        from kos.weights.rounding import floats

        if self.rule == "four_over_six":
            scale_2 = floats.roomy_scale(amax)
            scale_RN = floats.four_over_six(merged_RC, scale_2)
        else:
            scale_2 = amax / (nvfp4.CODE_MAX * nvfp4.SCALE_MAX)
            choose = floats.swept if self.rule == "mse" else floats.six
            scale_RN = choose(merged_RC, scale_2)
        values_RC = self.values(target, merged_RC, scale_RN, scale_2)
        return floats.stored(values_RC, scale_RN, scale_2)

    def values(
        self, target: Target, merged_RC: Tensor, scale_RN: Tensor, scale_2: Tensor
    ) -> Tensor:
        """E2M1 values float32 (R, C) under the scales; the nearest ones here."""
        from kos.weights.rounding import floats

        return floats.nearest_value(floats.scaled(merged_RC, scale_RN, scale_2))


@FORMATS.register
class Nvfp4ActivationAware(Variant):
    """NVFP4 by activations: the codes chosen by what they do to the outputs.

    Halves the divergence from the merged model at the same size, from second moments.
    """

    reads_change: ClassVar[bool] = True

    kind: Literal["nvfp4_activation_aware"] = "nvfp4_activation_aware"
    scales: Rule = Field("modelopt", description=SCALES)
    eigenvectors: int = EIGENVECTORS
    bias_weight: float = BIAS_WEIGHT

    @property
    def needs(self) -> Needs:
        """The inputs' second moments, whatever the activations' scales."""
        return "moments"

    @property
    def num_eigenvectors(self) -> int:
        """As chosen."""
        return self.eigenvectors

    @property
    def rule(self) -> Rule:
        """As chosen."""
        return self.scales

    def values(
        self, target: Target, merged_RC: Tensor, scale_RN: Tensor, scale_2: Tensor
    ) -> Tensor:
        """An expert that no token reached keeps nearest codes. Raises as ``curvature_of``."""
        from kos.weights.rounding import floats

        curvature = curvature_of(target)
        if curvature is None:
            return super().values(target, merged_RC, scale_RN, scale_2)
        if self.bias_weight and target.delta_RC is not None:
            curvature = curvature.against_bias(target.delta_RC, self.bias_weight)
        return floats.activation_aware(merged_RC, scale_RN, scale_2, curvature)


@FORMATS.register
class Nvfp4FourOverSix(Variant):
    """NVFP4 four-over-six: each block's largest value becomes 6 or 4, whichever errs less."""

    kind: Literal["nvfp4_four_over_six"] = "nvfp4_four_over_six"

    @property
    def rule(self) -> Rule:
        return "four_over_six"


@FORMATS.register
class Nvfp4Mse(Variant):
    """NVFP4, swept: each block's scale is the one with the least squared error."""

    kind: Literal["nvfp4_mse"] = "nvfp4_mse"

    @property
    def rule(self) -> Rule:
        return "mse"


@FORMATS.register
class Nvfp4Stochastic(Variant):
    """NVFP4 at random: without bias, so it keeps the change on average, with the most noise."""

    kind: Literal["nvfp4_stochastic"] = "nvfp4_stochastic"
    scales: Rule = Field("modelopt", description=SCALES)

    @property
    def rule(self) -> Rule:
        """As chosen."""
        return self.scales

    def values(
        self, target: Target, merged_RC: Tensor, scale_RN: Tensor, scale_2: Tensor
    ) -> Tensor:
        """One of the two values around each weight, drawn by seed, name and place."""
        from kos.weights.rounding import draws, floats

        draws_RC = draws.uniform_like(merged_RC, target.seed, target.name)
        return floats.stochastic_value(floats.scaled(merged_RC, scale_RN, scale_2), draws_RC)
