"""How activations are calibrated: the choices and their knobs. No torch here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from kos.registry import Choice, Registry


class Calibrator(Choice):
    """Which text is run through the model, and how."""

    samples: int = Field(256, ge=1, le=100000, description="Conversations to calibrate on.")
    max_tokens: int = Field(
        3072, ge=8, le=131072, description="Longest, in tokens; a longer one keeps its end."
    )
    batch: int = Field(32, ge=1, le=1024, description="Conversations in a batch.")


CALIBRATORS: Registry[Calibrator] = Registry("calibrator")


@CALIBRATORS.register
class Layerwise(Calibrator):
    """Layer by layer from disk, in the memory of one layer, resumable, with expert coverage."""

    kind: Literal["layerwise"] = "layerwise"


@CALIBRATORS.register
class ModelOpt(Calibrator):
    """nvidia-modelopt's max calibration, with the whole model in memory."""

    kind: Literal["modelopt"] = "modelopt"
