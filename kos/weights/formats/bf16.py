"""No quantisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from kos.weights.formats.base import FORMATS, ExportFormat, Part, Target

if TYPE_CHECKING:
    from torch import Tensor


@FORMATS.register
class Bf16(ExportFormat):
    """BF16: the merged model as it is, for any engine; four times the size of 4 bits."""

    is_plain: ClassVar[bool] = True

    kind: Literal["bf16"] = "bf16"
    quantise: tuple[str, ...] = Field((), description="Nothing is quantised.")

    def parts(self, name: str, shape: tuple[int, ...]) -> dict[str, Part]:
        """The weight itself."""
        return {name: Part("BF16", shape)}

    def encode(self, target: Target) -> dict[str, Tensor]:
        """W + D, summed in float32, rounded once."""
        return {target.name: target.merged_RC.bfloat16()}

    def decode(self, name: str, stored: Mapping[str, Tensor]) -> Tensor:
        """The weight in float32."""
        return stored[name].float()

    def config(self, quantised: list[str], kept: list[str]) -> dict[str, Any]:
        """No quantisation."""
        return {}
