"""GGUF for llama.cpp and other programs on small machines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from kos.weights.formats.base import FORMATS, ExportFormat, Part, Target

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 32
# Bytes of a block of 32 values. Source: gguf 0.19, GGML_QUANT_SIZES.
BYTES = {"Q8_0": 34, "Q5_0": 22, "Q4_0": 18}


@FORMATS.register
class Gguf(ExportFormat):
    """GGUF: one file for llama.cpp, for dense Llama and Qwen models; rounded by ``gguf``.

    The kinds with larger blocks (Q4_K and others) need llama.cpp's own quantiser.
    """

    block: ClassVar[int] = BLOCK
    takes_embeddings: ClassVar[bool] = True
    container: ClassVar[Literal["safetensors", "gguf"]] = "gguf"

    kind: Literal["gguf"] = "gguf"
    type: Literal["Q8_0", "Q5_0", "Q4_0"] = Field(
        "Q8_0", description="8, 5 or 4 bits a weight, and a 16-bit scale for 32 weights."
    )
    quantise: tuple[str, ...] = Field(
        ("*",), description="Name patterns of the weights to quantise."
    )
    keep: tuple[str, ...] = Field((), description="Name patterns that stay in BF16; they win.")

    def parts(self, name: str, shape: tuple[int, ...]) -> dict[str, Part]:
        """Rows of blocks, as bytes."""
        return {name: Part("U8", (shape[0], shape[1] // BLOCK * BYTES[self.type]))}

    def encode(self, target: Target) -> dict[str, Tensor]:
        """By the ``gguf`` package."""
        # Torch and gguf only in the job's own process.
        import gguf
        import torch

        made = gguf.quantize(
            target.merged_RC.contiguous().numpy(), gguf.GGMLQuantizationType[self.type]
        )
        return {target.name: torch.from_numpy(made.view("uint8"))}

    def decode(self, name: str, stored: Mapping[str, Tensor]) -> Tensor:
        """By the ``gguf`` package."""
        import gguf
        import torch

        kind = gguf.GGMLQuantizationType[self.type]
        return torch.from_numpy(gguf.dequantize(stored[name].contiguous().numpy(), kind))

    def config(self, quantised: list[str], kept: list[str]) -> dict[str, Any]:
        """A GGUF file says itself how it is stored."""
        return {}
