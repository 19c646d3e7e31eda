"""MXFP4 in compressed-tensors' files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from kos.weights.formats.base import FORMATS, ExportFormat, Part, Target
from kos.weights.formats.int4 import compressed

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 32
PACKED, SCALE = ".weight_packed", ".weight_scale"


@FORMATS.register
class Mxfp4(ExportFormat):
    """MXFP4: 4-bit floats in blocks of 32 with a power of two (``mxfp4-pack-quantized``)."""

    block: ClassVar[int] = BLOCK

    kind: Literal["mxfp4"] = "mxfp4"
    scale_rule: Literal["modelopt", "ocp", "compressed-tensors"] = Field(
        "modelopt",
        description="How a block's power of two is found; on ordinary weights the rules differ "
        "in one to three blocks of ten. modelopt's clips nothing.",
    )
    activations: Literal["bf16", "dynamic"] = Field(
        "bf16", description="Inputs stay in BF16, or are rounded to MXFP4 while serving."
    )

    def parts(self, name: str, shape: tuple[int, ...]) -> dict[str, Part]:
        """Two codes a byte and an exponent a block."""
        rows, columns = shape
        stem = name.removesuffix(".weight")
        return {
            stem + PACKED: Part("U8", (rows, columns // 2)),
            stem + SCALE: Part("U8", (rows, columns // BLOCK)),
        }

    def encode(self, target: Target) -> dict[str, Tensor]:
        """Nearest codes under ``scale_rule``."""
        # Torch only in the job's own process.
        from kos.weights import mxfp4

        codes, scale = mxfp4.quantise(target.merged_RC, self.scale_rule)
        stem = target.name.removesuffix(".weight")
        return {stem + PACKED: codes, stem + SCALE: scale}

    def decode(self, name: str, stored: Mapping[str, Tensor]) -> Tensor:
        """codes * 2^e."""
        from kos.weights import mxfp4

        stem = name.removesuffix(".weight")
        return mxfp4.dequantise(stored[stem + PACKED], stored[stem + SCALE])

    def config(self, quantised: list[str], kept: list[str]) -> dict[str, Any]:
        """compressed-tensors' presets MXFP4A16 and MXFP4."""
        weights = {
            "num_bits": 4,
            "type": "float",
            "symmetric": True,
            "strategy": "group",
            "group_size": BLOCK,
            "dynamic": False,
            "scale_dtype": "torch.uint8",
            "zp_dtype": "torch.uint8",
        }
        scheme: dict[str, Any] = {"weights": weights}
        if self.activations == "dynamic":
            scheme["input_activations"] = weights | {"dynamic": True}
        return compressed("mxfp4-pack-quantized", scheme, kept)
