"""NVFP4 by nvidia-modelopt."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from kos.weights.formats.base import FORMATS, ExportFormat


@FORMATS.register
class Nvfp4(ExportFormat):
    """NVFP4: 4-bit floats in blocks of 16, by nvidia-modelopt.

    Weights and activations of what ``quantise`` names; the rest and the KV cache stay in BF16.
    Source: Kos-1 Experimental, its part on serving; modelopt's own ``nvfp4_omlp_only`` is the closest preset
    but also takes shared experts.
    """

    kind: Literal["nvfp4"] = "nvfp4"
    calibration_samples: int = Field(32, ge=1, le=100000, description="Prompts to calibrate on.")
    calibration_length: int = Field(512, ge=8, le=131072, description="Longest, in tokens.")
    calibration_batch: int = Field(4, ge=1, le=1024, description="Prompts in a batch.")

    def quant_config(self, dense_layers: int) -> dict[str, Any]:
        """The last pattern that matches a quantizer decides, so what is kept comes last."""
        numbers = {
            "num_bits": (2, 1),
            "block_sizes": {-1: 16, "type": "dynamic", "scale_bits": (4, 3)},
        }
        rules: list[dict[str, Any]] = [{"quantizer_name": "*", "enable": False}]
        for pattern in self.quantise:
            stem = pattern.rstrip("*")
            rules += [
                {"quantizer_name": f"{stem}*{side}_quantizer", "cfg": numbers, "enable": True}
                for side in ("weight", "input")
            ]
        kept = [*self.keep, "*[kv]_bmm_quantizer"]
        if self.keep_dense_layers:
            kept += [f"*layers.{layer}.mlp.*" for layer in range(dense_layers)]
        rules += [{"quantizer_name": pattern, "enable": False} for pattern in kept]
        return {"quant_cfg": rules, "algorithm": "max"}
