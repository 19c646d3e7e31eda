"""NVFP4 as ModelOpt writes it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from kos.errors import UserError
from kos.weights.formats.base import FORMATS, ExportFormat, Needs, Part, Target
from kos.weights.formats.names import excluded

if TYPE_CHECKING:
    from torch import Tensor

    from kos.weights.nvfp4 import Nvfp4Weight

BLOCK = 16
SCALE, SCALE_2, INPUT = ".weight_scale", ".weight_scale_2", ".input_scale"
UNIT_SCALE_COST = (
    "input_scale is 1.0 without calibration: activations of a deviation above 0.03 lose nothing, "
    "at 0.01 their error rises from 10 to 13 %, at 0.003 to 58 %, below 0.001 they become zero. "
    "Inputs of gate and up follow a norm and are safe; those of down_proj and o_proj may not be."
)


class Nvfp4Layout(ExportFormat):
    """How NVFP4 is stored, whatever chooses scales and codes. No choice itself."""

    block: ClassVar[int] = BLOCK
    shares_scale: ClassVar[bool] = True

    activations: Literal["calibrated", "unit", "none"] = Field(
        "calibrated",
        description="Inputs in 4 bits with calibrated scales; with scale 1.0, which costs "
        "accuracy where inputs are small; or in BF16 (W4A16, a format of its own).",
    )

    @property
    def needs(self) -> Needs:
        """The largest input, unless scales are 1.0 or absent."""
        return "amax" if self.activations == "calibrated" else "nothing"

    @property
    def algorithm(self) -> str:
        """ModelOpt's name for it."""
        return "W4A16_NVFP4" if self.activations == "none" else "NVFP4"

    def parts(self, name: str, shape: tuple[int, ...]) -> dict[str, Part]:
        """Two codes a byte, a scale a block, a scale a weight, a scale for its inputs."""
        rows, columns = shape
        stem = name.removesuffix(".weight")
        parts = {
            name: Part("U8", (rows, columns // 2)),
            stem + SCALE: Part("F8_E4M3", (rows, columns // BLOCK)),
            stem + SCALE_2: Part("F32", ()),
        }
        return parts if self.activations == "none" else parts | {stem + INPUT: Part("F32", ())}

    def encode(self, target: Target) -> dict[str, Tensor]:
        """Raises UserError when calibrated activations are asked for and none were seen."""
        # Torch only in the job's own process.
        import torch

        from kos.weights import kernels

        stem, merged = target.name.removesuffix(".weight"), target.merged_RC
        amax = target.shared_amax
        if amax is None:
            amax = kernels.largest(merged.float())
        stored = self.rounded(target, merged, torch.as_tensor(amax, dtype=torch.float32))
        parts = {
            target.name: stored.codes,
            stem + SCALE: stored.scale,
            stem + SCALE_2: stored.scale_2,
        }
        if self.activations != "none":
            parts[stem + INPUT] = torch.tensor(self.input_scale(target), dtype=torch.float32)
        return parts

    def rounded(self, target: Target, merged_RC: Tensor, amax: Tensor) -> Nvfp4Weight:
        """Codes and scales of ``merged_RC``; ``amax`` float32 () is what the weight scale is for."""
        from kos.weights import kernels, nvfp4

        scale_2 = amax / (nvfp4.CODE_MAX * nvfp4.SCALE_MAX)
        return nvfp4.Nvfp4Weight(*kernels.nvfp4_rows(merged_RC, scale_2), scale_2)

    def input_scale(self, target: Target) -> float:
        """amax / 2688 of what calibration saw, or 1.0."""
        if self.activations == "unit":
            return 1.0
        if target.activations is None or target.activations.amax <= 0:
            raise UserError(
                f"calibration saw no input of {target.name}: take more prompts, or choose "
                "activations 'unit' or 'none'"
            )
        return target.activations.amax / (6 * 448)

    def decode(self, name: str, stored: Mapping[str, Tensor]) -> Tensor:
        """codes * block scale * weight scale."""
        from kos.weights import nvfp4

        stem = name.removesuffix(".weight")
        return nvfp4.dequantise(stored[name], stored[stem + SCALE], stored[stem + SCALE_2])

    def config(self, quantised: list[str], kept: list[str]) -> dict[str, Any]:
        """As ModelOpt 0.47 writes it; without input_activations vLLM takes it for W4A16."""
        numbers = {"dynamic": False, "num_bits": 4, "type": "float", "group_size": BLOCK}
        inputs = {} if self.activations == "none" else {"input_activations": numbers}
        group = {**inputs, "weights": numbers, "targets": ["Linear"]}
        return {
            "config_groups": {"group_0": group},
            "ignore": excluded(kept, quantised),
            "quant_algo": self.algorithm,
            "producer": _producer(),
            "quant_method": "modelopt",
        }

    def companions(self, quantised: list[str], kept: list[str]) -> dict[str, dict[str, Any]]:
        """``hf_quant_config.json``, which vLLM asks for group size, KV cache and exclusions."""
        said = {
            "quant_algo": self.algorithm,
            "kv_cache_quant_algo": None,
            "group_size": BLOCK,
            "exclude_modules": excluded(kept, quantised),
        }
        return {"hf_quant_config.json": {"producer": _producer(), "quantization": said}}

    def check(self, name: str, stored: Mapping[str, Tensor]) -> None:
        """Scalar scales must be there, finite and positive."""
        stem = name.removesuffix(".weight")
        for suffix in (SCALE_2,) if self.activations == "none" else (SCALE_2, INPUT):
            value = stored[stem + suffix].float()
            if not (value.isfinite().all() and (value > 0).all()):
                raise UserError(f"{stem}{suffix} is {value.tolist()}, which scales to nonsense")


@FORMATS.register
class Nvfp4(Nvfp4Layout):
    """NVFP4: 4-bit floats in blocks of 16, byte for byte as ModelOpt writes them.

    Weights are a pure function of the model; calibration decides ``input_scale`` alone.
    """

    kind: Literal["nvfp4"] = "nvfp4"


def _producer() -> dict[str, str]:
    """ModelOpt, whose format it is, in the version whose bytes these are."""
    try:
        version = metadata.version("nvidia-modelopt")
    except metadata.PackageNotFoundError:
        version = "0.47.0"
    return {"name": "modelopt", "version": version}
