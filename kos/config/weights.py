"""Jobs on weights: importing, merging, quantising."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from kos.chat.template import SYSTEM_PROMPT
from kos.config.base import Input, JobConfig
from kos.data.bases import BASES, BaseSource, SmolLM2
from kos.weights.calibrators import CALIBRATORS, Calibrator, Layerwise
from kos.weights.formats.base import FORMATS, ExportFormat
from kos.weights.formats.nvfp4 import Nvfp4

FORMATS.register_folder("kos.weights.formats")


class ImportBase(JobConfig):
    """Register a base model: fetch or convert it into a Hugging Face folder."""

    queue: ClassVar[Literal["cpu", "gpu", "serve"]] = "cpu"
    kind: Literal["base"] = "base"
    source: Annotated[BaseSource, BASES] = SmolLM2()


class Merge(JobConfig):
    """Fold an adapter into its base, shard by shard, in BF16.

    Source: Kos-1 Experimental, its part on serving (unpack, text-only, merge). ``int4`` is what
    tinker-cookbook does, there to compare with.
    """

    inputs: ClassVar[dict[str, Input]] = {
        "base": Input(("base", "merged"), "The model the adapter was trained on."),
        "adapter": Input(
            ("adapter",), "The adapter to fold in; without one the base is only unpacked.", False
        ),
    }
    queue: ClassVar[Literal["cpu", "gpu", "serve"]] = "cpu"
    kind: Literal["merge"] = "merge"
    into: Literal["bf16", "int4"] = Field(
        "bf16",
        description="bf16, or int4: rounded to the grid of a packed INT4 base again, which "
        "loses nearly all of an adapter. To compare with.",
    )
    shard_gb: float = Field(4.0, gt=0, description="Largest output shard, in 10^9 bytes.")
    dry_run: bool = Field(
        False, description="Only name every adapter tensor's target and the sizes."
    )


class Export(JobConfig):
    """Quantise a model for serving, with an adapter folded in on the way."""

    inputs: ClassVar[dict[str, Input]] = {
        "model": Input(("merged", "base"), "The model to quantise; a packed INT4 base will do."),
        "adapter": Input(
            ("adapter",), "Folded in in full precision, without a BF16 copy in between.", False
        ),
        "dataset": Input(("dataset",), "Its training prompts calibrate the activations.", False),
        "answers": Input(
            ("answers",), "Answers of a run: calibrates on what the model itself writes.", False
        ),
        "calibration": Input(
            ("calibration",), "What an earlier export measured, instead of text.", False
        ),
        "base": Input(
            ("base", "merged"),
            "For a model that is merged already: to measure how much of the change survives.",
            False,
        ),
    }
    kind: Literal["export"] = "export"
    format: Annotated[ExportFormat, FORMATS] = Nvfp4()
    calibrator: Annotated[Calibrator, CALIBRATORS] = Layerwise()
    shard_gb: float = Field(4.0, gt=0, description="Largest output shard, in 10^9 bytes.")
    smoke_tokens: int = Field(
        8, ge=0, le=256, description="Tokens the export writes to prove that it loads; 0 skips it."
    )
    system_prompt: str = Field(SYSTEM_PROMPT, description="Sent before every conversation.")
