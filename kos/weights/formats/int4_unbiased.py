"""INT4 in place: the base's own codes and scales, moved only where the adapter asks for it.

A base trained for INT4 lies on its grid, and nearest rounding returns it unchanged. These formats
round the adapter's change alone, so the result is as large as the base, is read by the same
kernels, and adds no error where nothing was trained.
Source: measured on SmolLM2 and on Kimi-shaped weights, benchmarks/survival.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from pydantic import Field

from kos.errors import UserError
from kos.weights.formats.base import FORMATS, Needs, Target
from kos.weights.formats.int4 import PACKED, SCALE, SHAPE, Int4Layout

if TYPE_CHECKING:
    from torch import Tensor

    from kos.weights.rounding.curvature import Diagonal, Full


EIGENVECTORS = Field(
    32,
    ge=1,
    le=65536,
    description="Leading directions of the inputs that are kept beside each channel's size; as "
    "many as there are channels takes the whole second moment.",
)
BIAS_WEIGHT = Field(
    100.0,
    ge=0,
    le=1e6,
    description="How many times more an error counts that goes with the adapter's own signal: "
    "such errors add up over the layers, noise averages out. 0 lets the change shrink.",
)


class Grid(NamedTuple):
    """Codes int8 (R, C) and scales bfloat16 (R, G): where a base lies."""

    codes_RC: Tensor
    scale_RG: Tensor


class InPlace(Int4Layout):
    """What both share: the base's grid, and how it is stored. No choice itself."""

    from_codes: ClassVar[bool] = True
    reads_change: ClassVar[bool] = True

    requantise_base: bool = Field(
        False,
        description="Round a base that is not INT4 to this grid first. Its own error then "
        "stays in the export; an INT4 base is never touched.",
    )

    def refusal(self, shape: tuple[int, ...], *, is_packed: bool) -> str:
        """Only what lies on a grid can be moved along it."""
        return super().refusal(shape, is_packed=is_packed or self.requantise_base)

    def encode(self, target: Target) -> dict[str, Tensor]:
        """The base's tensors, with codes moved by ``moved``. Raises UserError without a grid."""
        # Torch only in the job's own process.
        import torch

        from kos.weights import int4

        grid = self.grid(target)
        if target.delta_RC is not None:
            grid = self.moved(target, grid, target.delta_RC)
        stem = target.name.removesuffix(".weight")
        shape = torch.tensor(target.base_RC.shape, dtype=torch.int32)
        packed = int4.pack(grid.codes_RC)
        return {stem + PACKED: packed, stem + SCALE: grid.scale_RG, stem + SHAPE: shape}

    def grid(self, target: Target) -> Grid:
        """The base's own, or with ``requantise_base`` that of its nearest INT4."""
        import torch

        from kos.weights import int4

        if target.codes_RC is not None and target.scale_RG is not None:
            return Grid(target.codes_RC, target.scale_RG.to(torch.bfloat16))
        if not self.requantise_base:
            raise UserError(
                f"{target.name} is not packed INT4 in the base, so there is no grid to stay on: "
                "choose another format, or requantise_base, which rounds the base to INT4 first"
            )
        packed, scale_RG = int4.quantise(target.base_RC)
        return Grid(int4.unpack(packed, target.base_RC.shape[1]), scale_RG)

    def moved(self, target: Target, grid: Grid, delta_RC: Tensor) -> Grid:
        """Where base + delta goes."""
        raise NotImplementedError


@FORMATS.register
class Int4Stochastic(InPlace):
    """INT4 in place, at random: the base's codes and scales, the change rounded without bias.

    Needs no calibration. What is drawn depends on the run's seed, the weight's name and the
    place alone, so the same run gives the same bytes.
    """

    kind: Literal["int4_stochastic"] = "int4_stochastic"

    def moved(self, target: Target, grid: Grid, delta_RC: Tensor) -> Grid:
        """About 0.7 % of the codes move by one."""
        return drawn(target, grid, delta_RC)


@FORMATS.register
class Int4ActivationAware(InPlace):
    """INT4 in place, by activations: the base's scales, codes chosen by what they do to outputs.

    From the second moments of what calibration saw at each weight's input. The least divergence
    from the merged model of all INT4 and NVFP4 formats.
    """

    kind: Literal["int4_activation_aware"] = "int4_activation_aware"
    eigenvectors: int = EIGENVECTORS
    bias_weight: float = BIAS_WEIGHT

    @property
    def needs(self) -> Needs:
        """The inputs' second moments."""
        return "moments"

    @property
    def num_eigenvectors(self) -> int:
        """As chosen."""
        return self.eigenvectors

    def moved(self, target: Target, grid: Grid, delta_RC: Tensor) -> Grid:
        """An expert that no token reached is rounded at random. Raises as ``curvature_of``."""
        from kos.weights.rounding import integers

        curvature = curvature_of(target)
        if curvature is None:
            return drawn(target, grid, delta_RC)
        if self.bias_weight:
            curvature = curvature.against_bias(delta_RC, self.bias_weight)
        scale_RG = integers.with_free_groups(grid.codes_RC, grid.scale_RG, delta_RC)
        codes_RC = integers.activation_aware(target.merged_RC, scale_RG, curvature)
        return Grid(codes_RC, scale_RG)


def drawn(target: Target, grid: Grid, delta_RC: Tensor) -> Grid:
    """Codes moved at random, by the target's seed and name and each code's place."""
    from kos.weights.rounding import draws, integers

    scale_RG = integers.with_free_groups(grid.codes_RC, grid.scale_RG, delta_RC)
    draws_RC = draws.uniform_like(delta_RC, target.seed, target.name)
    codes_RC = integers.stochastic(grid.codes_RC, scale_RG, delta_RC, draws_RC)
    return Grid(codes_RC, scale_RG)


def curvature_of(target: Target) -> Diagonal | Full | None:
    """What an error in this weight costs, whole where calibration brought all eigenpairs.

    None for a weight whose input calibration never saw, as of an expert without a token. Raises
    UserError where nothing was calibrated.
    """
    from kos.weights.rounding.curvature import Diagonal, Full

    seen = target.activations
    if seen is None:
        raise UserError(
            f"nothing is known of the inputs of {target.name}: give a dataset or a calibration "
            "with second moments, or choose a format that needs none"
        )
    if seen.diagonal_C is None or seen.values_K is None or seen.vectors_CK is None:
        return None
    if seen.values_K.numel() < seen.diagonal_C.numel():
        return Diagonal.of_pairs(seen.diagonal_C, seen.values_K, seen.vectors_CK)
    return Full((seen.vectors_CK * seen.values_K) @ seen.vectors_CK.T)
