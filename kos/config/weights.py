"""Jobs on weights: importing, merging, quantising."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from kos.chat.template import SYSTEM_PROMPT
from kos.config.base import Input, JobConfig
from kos.data.bases import BASES, BaseSource, SmolLM2
from kos.weights.formats.base import FORMATS, ExportFormat
from kos.weights.formats.nvfp4 import Nvfp4


class ImportBase(JobConfig):
    """Register a base model: fetch or convert it into a Hugging Face folder."""

    queue: ClassVar[Literal["cpu", "gpu", "serve"]] = "cpu"
    kind: Literal["base"] = "base"
    source: Annotated[BaseSource, BASES] = SmolLM2()


class Merge(JobConfig):
    """Fold an adapter into its base, shard by shard, in BF16."""

    inputs: ClassVar[dict[str, Input]] = {
        "base": Input(("base", "merged"), "The model the adapter was trained on."),
        "adapter": Input(
            ("adapter",), "The adapter to fold in; without one the base is only unpacked.", False
        ),
    }
    queue: ClassVar[Literal["cpu", "gpu", "serve"]] = "cpu"
    kind: Literal["merge"] = "merge"
    shard_gb: float = Field(4.0, gt=0, description="Largest output shard, in 10^9 bytes.")


class Export(JobConfig):
    """Quantise a merged model for serving, with calibration."""

    inputs: ClassVar[dict[str, Input]] = {
        "merged": Input(("merged", "base"), "The model to quantise."),
        "dataset": Input(("dataset",), "Its training prompts calibrate the activations."),
        "base": Input(
            ("base", "merged"), "To measure how much of the adapter survives rounding.", False
        ),
    }
    kind: Literal["export"] = "export"
    format: Annotated[ExportFormat, FORMATS] = Nvfp4()
    system_prompt: str = Field(SYSTEM_PROMPT, description="Sent before every conversation.")
