"""Jobs that make an adapter, or what one is trained on."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from kos.chat.template import SYSTEM_PROMPT
from kos.config.base import Adam, Input, JobConfig, Lora, Sampling
from kos.engine.choices import ENGINES, SAMPLERS, EngineChoice, InEngine, Local, SamplerChoice
from kos.grading.base import GRADERS, Grader
from kos.grading.embedded import Embedded
from kos.rl.losses.base import LOSSES, Loss
from kos.rl.losses.cispo import Cispo
from kos.rl.prompts.base import PROMPTS, PromptSampler
from kos.rl.prompts.uniform import Uniform
from kos.rl.rewards.base import STAGES, Stage
from kos.rl.rewards.conciseness import ConcisenessBonus

# A file dropped into one of these folders is a choice in the form.
GRADERS.register_folder("kos.grading")
LOSSES.register_folder("kos.rl.losses")
PROMPTS.register_folder("kos.rl.prompts")
STAGES.register_folder("kos.rl.rewards")


class Sft(JobConfig):
    """Supervised fine-tuning on reference answers or tool trajectories."""

    inputs: ClassVar[dict[str, Input]] = {
        "base": Input(("base", "merged"), "The model to start from."),
        "dataset": Input(("dataset",), "Rows of its training split with a reference.", False),
        "trajectories": Input(("trajectories",), "Tool calls to learn, of a synthesis.", False),
        "adapter": Input(("adapter",), "Adapter to go on from; a new one without it.", False),
    }
    kind: Literal["sft"] = "sft"
    epochs: int = Field(2, ge=1, le=100, description="Passes over the references.")
    batch_size: int = Field(8, ge=1, le=1024, description="Answers in an optimiser step.")
    max_length: int = Field(768, ge=16, le=131072, description="Longer rows are left out.")
    prompts: Literal["learned", "shared"] = Field(
        "learned",
        description="learned: gradients flow through the prompts too; shared: what all prompts "
        "begin with is read once a step and learned nothing from, many times faster.",
    )
    lora: Lora = Lora()
    adam: Adam = Adam(learning_rate=5e-4)
    system_prompt: str = Field(SYSTEM_PROMPT, description="Sent before every conversation.")


class Synthesise(JobConfig):
    """Write tool trajectories: made questions, answered from the embedded tools."""

    queue: ClassVar[Literal["cpu", "gpu", "serve"]] = "cpu"
    kind: Literal["synthesise"] = "synthesise"
    questions: int = Field(420, ge=7, le=5000, description="Questions, the seven tools in turn.")
    answered: float = Field(
        0.4, ge=0, le=1, description="Share that goes on to its answer; the rest ends at the call."
    )
    dialect: Literal["hermes", "kimi"] = Field(
        "hermes", description="How calls are written: hermes for small models, kimi for Kimi K2.5."
    )
    tools_as: Literal["typescript", "json"] = Field(
        "json", description="How the tools are declared in the prompt."
    )
    observation_tokens: int = Field(
        300, ge=50, le=8000, description="The longest result the model reads, in tokens."
    )


class Rollouts(BaseModel):
    """How answers are gathered and which of them are learnt from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token_budget: int = Field(
        0,
        ge=0,
        description="Tokens sampled in an iteration; what is unfinished then goes on in the next "
        "(partial rollouts, Kimi k1.5). 0 finishes every answer.",
    )
    old_segments: Literal["mask", "correct"] = Field(
        "mask",
        description="Tokens of earlier policies in a continued answer: mask leaves them out of "
        "the loss, correct weighs them by the loss's own importance ratio.",
    )
    equal_groups: Literal["drop", "keep", "refill"] = Field(
        "drop",
        description="Groups whose rewards are all equal teach nothing: drop them, keep them, or "
        "refill with other prompts.",
    )
    max_refills: int = Field(2, ge=0, le=100, description="Times an iteration is refilled.")
    stop_repetition: bool = Field(False, description="End an answer that repeats itself.")
    stop_confident: int = Field(
        0,
        ge=0,
        description="End an answer after so many tokens in a row of probability over 0.99 "
        "(MiniMax-M1: 3000); 0 never does.",
    )
    ahead: int = Field(
        0, ge=0, le=64, description="Iterations sampled ahead of the training; 0 is synchronous."
    )
    max_staleness: int = Field(
        0, ge=0, le=64, description="Answers of a policy older than this many updates are dropped."
    )
    ungraded_alarm: float = Field(
        0.2, ge=0, le=1, description="Share of ungraded answers above which an alarm is raised."
    )


class Temperature(BaseModel):
    """How the sampling temperature falls over the training (Kimi K2)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    end: float = Field(0.0, ge=0, le=2, description="Where it ends; 0 keeps it constant.")
    shape: Literal["linear", "cosine", "exponential"] = "linear"


class Tools(BaseModel):
    """Tools in the rollout: multi-turn trajectories through the harness."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    names: tuple[str, ...] = Field((), description="What it may call, one name a line.")
    share: float = Field(
        1.0, ge=0, le=1, description="Share of an iteration's prompts asked with tools."
    )
    dialect: Literal["kimi", "hermes"] = "hermes"
    tools_as: Literal["typescript", "json"] = "json"
    max_turns: int = Field(4, ge=1, le=200, description="Generations of one trajectory.")
    observation_tokens: int = Field(
        300, ge=50, le=200_000, description="Longest result of a call that it reads, in tokens."
    )


class Ptx(BaseModel):
    """Keep curated answers likely while training: L = L_RL + weight * NLL (Kimi K2, 3.2.3)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weight: float = Field(0.0, ge=0, description="Weight of the term; 0 leaves it out.")
    batch_size: int = Field(4, ge=1, le=1024, description="Curated answers in an optimiser step.")


class Train(JobConfig):
    """Reinforcement learning on rubrics."""

    inputs: ClassVar[dict[str, Input]] = {
        "base": Input(("base", "merged"), "The model to train."),
        "adapter": Input(("adapter",), "Adapter to start from, say of an SFT run.", False),
        "dataset": Input(("dataset",), "Prompts of its training split are sampled."),
        "difficulty": Input(("difficulty",), "Pass rates of the prompts, measured before.", False),
    }
    kind: Literal["train"] = "train"
    steps: int = Field(10, ge=1, le=100000, description="Sampling iterations.")
    groups: int = Field(4, ge=1, le=4096, description="Prompts in an iteration; Kos-1 used 32.")
    group_size: int = Field(8, ge=2, le=256, description="Answers a prompt; Kos-1 used 8.")
    substeps: int = Field(2, ge=1, le=64, description="Optimiser steps in an iteration.")
    prompts: Annotated[PromptSampler, PROMPTS] = Uniform()
    loss: Annotated[Loss, LOSSES] = Cispo()
    normalisation: Literal["own", "sum", "token_mean", "seq_mean", "dr"] = Field(
        "own",
        description="own: as the loss's source has it; sum: over all tokens (Tinker); token_mean: "
        "by the tokens of the step; seq_mean: each answer alike; dr: by the longest answer "
        "allowed (Dr. GRPO).",
    )
    rewards: tuple[Annotated[Stage, STAGES], ...] = Field(
        (ConcisenessBonus(),), description="What is added to the rubric's score, in order."
    )
    grader: Annotated[Grader, GRADERS] = Embedded()
    rollouts: Rollouts = Rollouts()
    sampling: Sampling = Sampling()
    temperature: Temperature = Temperature()
    tools: Tools = Tools()
    lora: Lora = Lora()
    adam: Adam = Adam()
    ptx: Ptx = Ptx()
    engine: Annotated[EngineChoice, ENGINES] = Local()
    sampler: Annotated[SamplerChoice, SAMPLERS] = InEngine()
    checkpoint_seconds: float = Field(30, ge=0, description="Least time between checkpoints.")
    system_prompt: str = Field(SYSTEM_PROMPT, description="Sent before every conversation.")
