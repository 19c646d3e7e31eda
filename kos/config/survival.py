"""The job that measures what export formats keep of an adapter."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from kos.chat.template import SYSTEM_PROMPT
from kos.config.base import Input, JobConfig
from kos.weights.formats.base import FORMATS, ExportFormat
from kos.weights.formats.bf16 import Bf16
from kos.weights.formats.int4 import Int4
from kos.weights.formats.int4_unbiased import Int4ActivationAware, Int4Stochastic
from kos.weights.formats.mxfp4 import Mxfp4
from kos.weights.formats.nvfp4 import Nvfp4
from kos.weights.formats.nvfp4_variants import Nvfp4ActivationAware
from kos.weights.formats.online import Int4Online, Nvfp4Online

FORMATS.register_folder("kos.weights.formats")


class Survival(JobConfig):
    """Measure what each export format keeps of an adapter, in its weights and its answers."""

    inputs: ClassVar[dict[str, Input]] = {
        "base": Input(("base", "merged"), "The model the adapter was trained on."),
        "adapter": Input(("adapter",), "The adapter whose change is followed."),
        "dataset": Input(
            ("dataset",),
            "Held-out prompts with references are asked; its training prompts calibrate.",
            False,
        ),
        "calibration": Input(
            ("calibration",), "What an earlier export measured, instead of text.", False
        ),
        "quantised": Input(
            ("quantised",), "An export of the two: its answers are asked too.", False
        ),
    }
    kind: Literal["survival"] = "survival"
    formats: tuple[Annotated[ExportFormat, FORMATS], ...] = Field(
        (
            Bf16(),
            Int4(),
            Int4Stochastic(),
            Int4ActivationAware(),
            Mxfp4(),
            Nvfp4(),
            Nvfp4ActivationAware(),
            Nvfp4Online(),
            Int4Online(),
        ),
        description="Formats to hold side by side; one that the base does not allow is left out.",
    )
    experts: int = Field(
        2, ge=0, le=4096, description="Experts looked at in a layer; 0 takes all."
    )
    layers: int = Field(0, ge=0, le=4096, description="Layers looked at; 0 takes all.")
    prompts: int = Field(
        32,
        ge=0,
        le=10000,
        description="Held-out prompts that are asked; 0 measures weights alone.",
    )
    max_tokens: int = Field(1024, ge=16, le=131072, description="Longest prompt with its answer.")
    greedy_tokens: int = Field(
        32, ge=0, le=4096, description="Tokens of the greedy answers that are compared; 0 none."
    )
    rubric: bool = Field(
        False, description="Grade each format's greedy answers by the rubric's own checks as well."
    )
    calibration_samples: int = Field(
        64, ge=1, le=100000, description="Training prompts that calibrate, with their references."
    )
    largest_gb: float = Field(
        24, gt=0, description="A model above this size in float32, 10^9 bytes, is not asked."
    )
    system_prompt: str = Field(SYSTEM_PROMPT, description="Sent before every conversation.")
