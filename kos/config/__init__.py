"""What each kind of job can be told. One frozen class a kind; its fields are the form.

``inputs`` names what a job works on: artifacts and datasets, chosen apart from the knobs so
that a pipeline can hand the output of one stage to the next.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from kos.config.base import Adam, Input, JobConfig, Lora, Sampling
from kos.config.evaluation import Calibrate, Evaluate
from kos.config.preference import Average, Critic, Dpo, Select
from kos.config.serving import NAME, Asking, Deploy, Remote
from kos.config.survival import Survival
from kos.config.training import Measure, Sft, Synthesise, Train
from kos.config.weights import Export, ImportBase, Merge

__all__ = [
    "JOBS",
    "NAME",
    "Adam",
    "Asking",
    "Average",
    "Calibrate",
    "Critic",
    "Deploy",
    "Dpo",
    "Evaluate",
    "Export",
    "ImportBase",
    "Input",
    "JobConfig",
    "Lora",
    "Measure",
    "Merge",
    "Pipeline",
    "Remote",
    "Sampling",
    "Select",
    "Sft",
    "Survival",
    "Synthesise",
    "Train",
]


class Pipeline(JobConfig):
    """The whole way: warm start, train, merge, export, evaluate, deploy."""

    inputs: ClassVar[dict[str, Input]] = {
        "base": Input(("base",), "The model to start from."),
        "dataset": Input(("dataset",), "Prompts and rubrics, split in three."),
        "benchmark": Input(("dataset",), "A second set to evaluate on.", False),
    }
    queue: ClassVar[Literal["cpu", "gpu", "serve"]] = "cpu"
    kind: Literal["pipeline"] = "pipeline"
    warm_start: bool = Field(True, description="Begin with a short SFT on reference answers.")
    sft: Sft = Sft()
    train: Train = Train()
    merge: Merge = Merge()
    export: Export = Export()
    evaluate: Evaluate = Evaluate()
    evaluate_benchmark: Evaluate = Evaluate(samples=1)
    deploy: Deploy = Deploy()

    def check(self) -> None:
        """Every stage's own check: the last stage must not be the one that finds out."""
        for stage in (self.sft, self.train, self.merge, self.export, self.deploy):
            stage.check()


JOBS: dict[str, type[JobConfig]] = {
    config.model_fields["kind"].default: config
    for config in (
        ImportBase,
        Synthesise,
        Sft,
        Measure,
        Train,
        Select,
        Dpo,
        Critic,
        Average,
        Merge,
        Export,
        Survival,
        Evaluate,
        Calibrate,
        Deploy,
        Remote,
        Pipeline,
    )
}
