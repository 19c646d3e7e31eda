"""FP8 (E4M3) in compressed-tensors' files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from kos.errors import UserError
from kos.weights.formats.base import FORMATS, ExportFormat, Needs, Part, Target
from kos.weights.formats.int4 import compressed

if TYPE_CHECKING:
    from torch import Tensor

SCALE, INPUT = ".weight_scale", ".input_scale"
LARGEST = 448.0


@FORMATS.register
class Fp8(ExportFormat):
    """FP8: 8-bit floats (E4M3) with a scale a row or a weight (``float-quantized``)."""

    kind: Literal["fp8"] = "fp8"
    scales: Literal["channel", "tensor"] = Field(
        "channel", description="One scale for each row of a weight, or one for the weight."
    )
    activations: Literal["dynamic", "calibrated"] = Field(
        "dynamic",
        description="Inputs are scaled token by token while serving, or by one calibrated scale.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.scales == "channel" and self.activations == "calibrated":
            raise ValueError(
                "calibrated activations need scales per tensor: engines have no other"
            )
        return self

    @property
    def needs(self) -> Needs:
        """The largest input where activations are calibrated."""
        return "amax" if self.activations == "calibrated" else "nothing"

    def parts(self, name: str, shape: tuple[int, ...]) -> dict[str, Part]:
        """A byte a weight, and float32 scales."""
        stem = name.removesuffix(".weight")
        scale = (shape[0], 1) if self.scales == "channel" else (1,)
        parts = {name: Part("F8_E4M3", shape), stem + SCALE: Part("F32", scale)}
        return parts | {stem + INPUT: Part("F32", (1,))} if self.needs == "amax" else parts

    def encode(self, target: Target) -> dict[str, Tensor]:
        """scale = amax / 448, codes = E4M3(W / scale), as the library rounds.

        Source: compressed_tensors/quantization/lifecycle/forward.py, ``quantize``, 0.17.
        """
        # Torch only in the job's own process.
        import torch

        merged, stem = target.merged_RC, target.name.removesuffix(".weight")
        amax = merged.abs().amax(-1, keepdim=True) if self.scales == "channel" else None
        scale = (merged.abs().amax().view(1) if amax is None else amax) / LARGEST
        scale[scale == 0] = torch.finfo(torch.float32).eps
        codes = (merged / scale).clamp_(-LARGEST, LARGEST).to(torch.float8_e4m3fn)
        parts = {target.name: codes, stem + SCALE: scale}
        if self.needs == "amax":
            if target.activations is None or target.activations.amax <= 0:
                raise UserError(
                    f"calibration saw no input of {target.name}: take more prompts, or choose "
                    "dynamic activations"
                )
            parts[stem + INPUT] = torch.tensor([target.activations.amax / LARGEST])
        return parts

    def decode(self, name: str, stored: Mapping[str, Tensor]) -> Tensor:
        """codes * scale."""
        return stored[name].float() * stored[name.removesuffix(".weight") + SCALE].float()

    def config(self, quantised: list[str], kept: list[str]) -> dict[str, Any]:
        """compressed-tensors' presets FP8_DYNAMIC and FP8."""
        numbers = {"num_bits": 8, "type": "float", "symmetric": True}
        inputs: dict[str, Any] = (
            {"strategy": "tensor", "dynamic": False}
            if self.needs == "amax"
            else {"strategy": "token", "dynamic": True}
        )
        weights = numbers | {"strategy": self.scales, "dynamic": False}
        scheme = {"weights": weights, "input_activations": numbers | inputs}
        return compressed("float-quantized", scheme, kept)
