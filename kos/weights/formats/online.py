"""Formats that leave the adapter beside the base: the server adds it to each answer (online LoRA).

Nothing of the training is rounded, whatever the base is stored as; every token costs the adapter's
own products on top.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from kos.weights.formats.base import FORMATS, Target
from kos.weights.formats.int4 import Int4
from kos.weights.formats.nvfp4 import Nvfp4

if TYPE_CHECKING:
    from torch import Tensor


@FORMATS.register
class Int4Online(Int4):
    """INT4 base with online LoRA: a Kimi base stays bit for bit, the adapter is laid over it.

    The folder ``adapter`` of the export is what vLLM loads with ``--lora-modules``.
    """

    folds_adapter: ClassVar[bool] = False

    kind: Literal["int4_online"] = "int4_online"  # type: ignore[assignment]

    def encode(self, target: Target) -> dict[str, Tensor]:
        """The base alone, to the nearest codes."""
        return super().encode(without_change(target))


@FORMATS.register
class Nvfp4Online(Nvfp4):
    """NVFP4 base with online LoRA: the base is rounded, the adapter laid over it is not.

    The folder ``adapter`` of the export is what vLLM loads with ``--lora-modules``.
    """

    folds_adapter: ClassVar[bool] = False

    kind: Literal["nvfp4_online"] = "nvfp4_online"  # type: ignore[assignment]

    def encode(self, target: Target) -> dict[str, Tensor]:
        """The base alone, as ModelOpt writes it."""
        return super().encode(without_change(target))


def without_change(target: Target) -> Target:
    """The base's weight of ``target``."""
    if target.delta_RC is None:
        return target
    return replace(target, delta_RC=None, shared_amax=target.base_amax)
