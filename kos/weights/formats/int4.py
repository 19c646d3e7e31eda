"""INT4 as compressed-tensors packs it: the format Kimi K2 Thinking and K2.5 come in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from kos.weights.formats.base import FORMATS, ExportFormat, Part, Target
from kos.weights.formats.names import modules

if TYPE_CHECKING:
    from torch import Tensor

GROUP = 32
PACKED, SCALE, SHAPE = ".weight_packed", ".weight_scale", ".weight_shape"


class Int4Layout(ExportFormat):
    """How INT4 is stored, whatever chooses the codes. No choice itself."""

    block: ClassVar[int] = GROUP

    def parts(self, name: str, shape: tuple[int, ...]) -> dict[str, Part]:
        """Eight codes a word, a BF16 scale a group, and the shape."""
        rows, columns = shape
        stem = name.removesuffix(".weight")
        return {
            stem + PACKED: Part("I32", (rows, -(-columns // 8))),
            stem + SCALE: Part("BF16", (rows, columns // GROUP)),
            stem + SHAPE: Part("I32", (2,)),
        }

    def decode(self, name: str, stored: Mapping[str, Tensor]) -> Tensor:
        """codes * scale."""
        from kos.weights import int4

        stem = name.removesuffix(".weight")
        columns = int(stored[stem + SHAPE][1])
        return int4.dequantise(stored[stem + PACKED], stored[stem + SCALE], columns)

    def config(self, quantised: list[str], kept: list[str]) -> dict[str, Any]:
        """compressed-tensors' own, as in Kimi K2's config."""
        weights = {
            "num_bits": 4,
            "type": "int",
            "symmetric": True,
            "strategy": "group",
            "group_size": GROUP,
            "dynamic": False,
            "observer": "minmax",
        }
        return compressed("pack-quantized", {"weights": weights}, kept)


@FORMATS.register
class Int4(Int4Layout):
    """INT4 in groups of 32, rounded to nearest (compressed-tensors ``pack-quantized``).

    On a base that was trained to this grid nearest rounding erases an adapter: each weight goes
    back to the point it came from.
    """

    kind: Literal["int4"] = "int4"
    scale_rule: Literal["kimi", "compressed-tensors"] = Field(
        "kimi",
        description="kimi: largest weight / 7, codes -7 to 7, which keeps a Kimi base bit for "
        "bit; compressed-tensors: / 7.5, codes -8 to 7.",
    )

    def encode(self, target: Target) -> dict[str, Tensor]:
        """Nearest codes under ``scale_rule``."""
        # Torch only in the job's own process.
        import torch

        from kos.weights import kernels

        merged, stem = target.merged_RC, target.name.removesuffix(".weight")
        if self.scale_rule == "kimi":
            packed, scale_RG = kernels.int4_rows(merged)
        else:
            packed, scale_RG = _to_library_rule(merged)
        shape = torch.tensor(merged.shape, dtype=torch.int32)
        return {stem + PACKED: packed, stem + SCALE: scale_RG, stem + SHAPE: shape}


def compressed(layout: str, scheme: dict[str, Any], kept: list[str]) -> dict[str, Any]:
    """compressed-tensors' ``quantization_config`` of one ``scheme`` for all but ``kept``."""
    return {
        "quant_method": "compressed-tensors",
        "format": layout,
        "quantization_status": "compressed",
        "kv_cache_scheme": None,
        "config_groups": {"group_0": {"targets": ["Linear"], "format": layout, **scheme}},
        "ignore": modules(kept),
    }


def _to_library_rule(merged_RC: Tensor) -> tuple[Tensor, Tensor]:
    """llm-compressor's rounding: scale = bf16(amax / 7.5), codes in [-8, 7].

    Source: compressed_tensors/quantization/utils/helpers.py, ``calculate_qparams``, 0.17.
    """
    import torch

    from kos.weights import int4

    groups = merged_RC.view(merged_RC.shape[0], -1, GROUP)
    scale_RG = (groups.abs().amax(-1) / 7.5).to(torch.bfloat16)
    scale_RG[scale_RG == 0] = torch.finfo(torch.bfloat16).eps
    codes = (groups / scale_RG.float().unsqueeze(-1)).round_().clamp_(-8, 7)
    return int4.pack(codes.flatten(1).to(torch.int8)), scale_RG
