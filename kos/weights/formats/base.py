"""What a quantised format is: one weight in, its stored tensors out, and back.

A file in this folder whose class is registered is a format to choose: its fields are the form,
``parts`` says what is stored before anything is computed (so sizes are known without torch),
``encode`` and ``decode`` are the work. The exporter reads one weight at a time and calls
``encode`` once for each; a format keeps nothing between calls. No file here loads torch at
import: the web process reads the knobs and the sizes.

Shapes: ``R`` rows (outputs), ``C`` columns (inputs), ``G`` groups of columns that share a scale,
``K`` leading eigenvectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from kos.registry import Choice, Registry

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Activations:
    """What calibration saw at the input of a weight, over ``num_tokens`` tokens.

    ``amax`` is the largest |x|; ``diagonal_C`` the mean of x^2 and ``values_K``, ``vectors_CK``
    the leading eigenpairs of the mean of x x^T, where a format asked for them.
    """

    amax: float
    num_tokens: int
    diagonal_C: Tensor | None = None
    values_K: Tensor | None = None
    vectors_CK: Tensor | None = None


@dataclass(frozen=True)
class Target:
    """One weight (R, C) on its way into an export, everything in float32.

    ``delta_RC`` is what the adapter adds, before any rounding; None where it changes nothing.
    ``codes_RC`` (int8, -8 to 7) and ``scale_RG`` are the base's own INT4, where it is packed:
    base = codes * scale. ``shared_amax`` is the largest |W| of the weights that must share its
    global scale (gate and up of one expert), after the merge; ``base_amax`` is the same of the base
    alone, for what compares the two. ``seed`` is the run's: what is
    random derives from it, the name and the place, so an export can be made again byte for byte.
    """

    name: str
    base_RC: Tensor
    delta_RC: Tensor | None = None
    codes_RC: Tensor | None = None
    scale_RG: Tensor | None = None
    shared_amax: float | None = None
    activations: Activations | None = None
    seed: int = 0
    base_amax: float | None = None

    @property
    def merged_RC(self) -> Tensor:
        """base + delta."""
        return self.base_RC if self.delta_RC is None else self.base_RC + self.delta_RC


class Part(NamedTuple):
    """A stored tensor's safetensors type ("U8", "F8_E4M3", "BF16", "I32", ...) and shape."""

    dtype: str
    shape: tuple[int, ...]


Needs = Literal["nothing", "amax", "moments"]


class ExportFormat(Choice):
    """How the weights that ``quantise`` names are stored; what ``keep`` names wins."""

    # Columns that share a scale: a weight whose rows such blocks do not fill stays as it is.
    block: ClassVar[int] = 1
    # Whether weights that read the same input (gate and up) are told their shared ``shared_amax``.
    shares_scale: ClassVar[bool] = False
    # Whether only weights that the base packs in INT4 can be stored so (Target.codes_RC is set).
    from_codes: ClassVar[bool] = False
    # Whether ``encode`` looks at base and change apart; otherwise it is given their sum as the base.
    reads_change: ClassVar[bool] = False
    # Whether embeddings count among what ``quantise`` may name; engines' kernels are for linears.
    takes_embeddings: ClassVar[bool] = False
    # Whether the adapter is folded into the weights; otherwise it is exported beside them.
    folds_adapter: ClassVar[bool] = True
    # A folder of safetensors, or one GGUF file.
    container: ClassVar[Literal["safetensors", "gguf"]] = "safetensors"
    # Whether transformers and vLLM on a CPU read the export itself; otherwise it gets a twin.
    is_plain: ClassVar[bool] = False

    quantise: tuple[str, ...] = Field(
        ("*mlp.experts*", "*self_attn.o_proj*", "*mlp.*_proj*"),
        description="Name patterns of the weights to quantise.",
    )
    keep: tuple[str, ...] = Field(
        ("*shared_expert*", "*mlp.gate.*", "*lm_head*"),
        description="Name patterns that stay in BF16; they win.",
    )
    keep_dense_layers: bool = Field(
        True, description="In a mixture of experts, layers without experts keep BF16 MLPs."
    )

    @property
    def needs(self) -> Needs:
        """What calibration must bring: nothing, the largest input, or its second moments."""
        return "nothing"

    @property
    def num_eigenvectors(self) -> int:
        """Leading eigenpairs of the second moments that ``encode`` wants beside the diagonal."""
        return 0

    def refusal(self, shape: tuple[int, ...], *, is_packed: bool) -> str:
        """Why a weight that the patterns name cannot be stored so; empty when it can."""
        if len(shape) != 2:
            return "it is no matrix"
        if shape[1] % self.block:
            return f"its {shape[1]} columns do not fill blocks of {self.block}"
        if self.from_codes and not is_packed:
            return "the base does not pack it in INT4"
        return ""

    def parts(self, name: str, shape: tuple[int, ...]) -> dict[str, Part]:
        """The stored tensors of a weight by full name, known before anything is computed."""
        raise NotImplementedError

    def encode(self, target: Target) -> dict[str, Tensor]:
        """The stored tensors of a weight, with the names, types and shapes of ``parts``."""
        raise NotImplementedError

    def decode(self, name: str, stored: Mapping[str, Tensor]) -> Tensor:
        """float32 (R, C): what an engine computes with."""
        raise NotImplementedError

    def computed(self, target: Target, stored: Mapping[str, Tensor]) -> Tensor:
        """float32 (R, C): ``decode``, and over it an adapter that is not folded in."""
        weight_RC = self.decode(target.name, stored)
        if self.folds_adapter or target.delta_RC is None:
            return weight_RC
        return weight_RC + target.delta_RC

    def config(self, quantised: list[str], kept: list[str]) -> dict[str, Any]:
        """config.json's ``quantization_config`` for an export of these weights.

        Names are full (``model.layers.1.mlp.experts.0.up_proj.weight``); ``kept`` holds the
        matrices that stay in BF16. Empty for a format that is no quantisation.
        """
        raise NotImplementedError

    def companions(self, quantised: list[str], kept: list[str]) -> dict[str, dict[str, Any]]:
        """Further JSON files that belong beside the weights, by file name."""
        return {}

    def check(self, name: str, stored: Mapping[str, Tensor]) -> None:
        """Raise UserError when the small tensors of ``stored`` (scalars) would load to nonsense."""


FORMATS: Registry[ExportFormat] = Registry("export format")
