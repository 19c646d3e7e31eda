"""Jobs that grade: evaluations, and judges held against people."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from kos.chat.template import SYSTEM_PROMPT
from kos.config.base import Input, JobConfig, Sampling
from kos.evals.answering import ANSWERING, Answering, InProcess
from kos.grading.base import GRADERS, Grader
from kos.grading.embedded import Embedded
from kos.grading.judge import Judge


class Evaluate(JobConfig):
    """Grade models on the test split of a dataset and compare them."""

    inputs: ClassVar[dict[str, Input]] = {
        "base": Input(("base", "merged"), "The reference model.", False),
        "warm_start": Input(("adapter",), "Its adapter after supervised fine-tuning.", False),
        "trained": Input(("merged", "base"), "The model under test.", False),
        "exported": Input(("quantised",), "Its quantised form.", False),
        "dataset": Input(("dataset",), "Rows of one of its splits are asked."),
    }
    kind: Literal["evaluate"] = "evaluate"
    split: Literal["train", "validation", "test"] = "test"
    samples: int = Field(2, ge=1, le=64, description="Answers a prompt; the paper uses 8.")
    max_prompts: int = Field(0, ge=0, description="Ask only this many prompts; 0 asks all.")
    scoring: Literal["healthbench", "healthbench_len", "unit", "raw"] = Field(
        "healthbench",
        description="healthbench clips the mean, healthbench_len takes length off first; "
        "unit clips each answer.",
    )
    length_center: float = Field(
        2000, ge=0, description="Characters that cost nothing, in healthbench_len."
    )
    length_coefficient: float = Field(
        2.94e-5, ge=0, le=1, description="What a character costs, in healthbench_len."
    )
    sampling: Sampling = Sampling(max_tokens=256, temperature=0.7)
    answering: Annotated[Answering, ANSWERING] = InProcess()
    grader: Annotated[Grader, GRADERS] = Embedded()
    system_prompt: str = Field(SYSTEM_PROMPT, description="Sent before every conversation.")


class Calibrate(JobConfig):
    """Hold a judge against people's labels: agreement, length, order, polarity, cost."""

    inputs: ClassVar[dict[str, Input]] = {
        "labels": Input(("labels",), "What people said of single criteria."),
    }
    queue: ClassVar[Literal["cpu", "gpu", "serve"]] = "cpu"
    kind: Literal["calibrate"] = "calibrate"
    max_rows: int = Field(
        0, ge=0, description="Grade only so many rows, drawn from all categories; 0 grades all."
    )
    prompt_price: float = Field(
        0.0, ge=0, description="Dollars for a million tokens the judge reads; 0 leaves it out."
    )
    completion_price: float = Field(
        0.0, ge=0, description="Dollars for a million tokens the judge writes."
    )
    draws: int = Field(1000, ge=100, le=20000, description="Draws of the bootstrap over prompts.")
    judge: Judge = Judge()
