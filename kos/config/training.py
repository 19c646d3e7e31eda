"""Jobs that make an adapter, or what one is trained on."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from kos.chat.template import SYSTEM_PROMPT
from kos.config.base import Adam, Input, JobConfig, Lora, Sampling
from kos.engine import needs
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
    """Supervised fine-tuning on reference answers, tool trajectories or chosen answers."""

    inputs: ClassVar[dict[str, Input]] = {
        "base": Input(("base", "merged"), "The model to start from."),
        "dataset": Input(("dataset",), "Rows of its training split with a reference.", False),
        "trajectories": Input(("trajectories",), "Tool calls to learn, of a synthesis.", False),
        "answers": Input(("answers",), "Answers to learn, of a selection.", False),
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


class Measure(JobConfig):
    """Measure how hard each training prompt is for the model itself."""

    inputs: ClassVar[dict[str, Input]] = {
        "base": Input(("base", "merged"), "The model that answers."),
        "adapter": Input(("adapter",), "Its adapter, say of an SFT run.", False),
        "dataset": Input(("dataset",), "Prompts of its training split are asked."),
    }
    kind: Literal["measure"] = "measure"
    samples: int = Field(10, ge=1, le=256, description="Answers a prompt; Kimi k1.5 drew 10.")
    threshold: float = Field(0.68, ge=0, le=1, description="An answer passes from this score on.")
    guesses: int = Field(
        8,
        ge=0,
        le=256,
        description="Guesses without thinking at prompts that checks or a verifier decide; a "
        "prompt is easy to hack when one is right. Kimi k1.5 drew 8; 0 leaves this out.",
    )
    guess_tokens: int = Field(48, ge=1, le=4096, description="Longest guess, in tokens.")
    guess_prompt: str = Field(
        "Give the final answer alone, at once. Do not think aloud and do not explain.",
        min_length=1,
        description="Added to the question when the model is to guess.",
    )
    guessed: Literal["drop", "flag"] = Field(
        "drop", description="What training does with prompts that are easy to hack."
    )
    max_prompts: int = Field(0, ge=0, description="Ask only so many prompts; 0 asks all.")
    prompts_at_once: int = Field(
        8, ge=1, le=1024, description="Prompts sampled together; kept when the job is stopped."
    )
    sampling: Sampling = Sampling(max_tokens=256, temperature=1.0)
    grader: Annotated[Grader, GRADERS] = Embedded()
    lora: Lora = Lora()
    engine: Annotated[EngineChoice, ENGINES] = Local()
    system_prompt: str = Field(SYSTEM_PROMPT, description="Sent before every conversation.")


class Rollouts(BaseModel):
    """How answers are gathered and which of them are learnt from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token_budget: int = Field(
        0,
        ge=0,
        description="Tokens that an answer may grow by in an iteration; what is unfinished then "
        "goes on in the next, under the new weights (partial rollouts, Kimi k1.5). 0 finishes "
        "every answer at once.",
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
        0,
        ge=0,
        le=4096,
        description="Answers of a policy older than this many optimiser steps are dropped; 0 "
        "keeps them however old.",
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
    max_context: int = Field(
        8192, ge=64, le=4_194_304, description="Prompt and generation together, in tokens."
    )


class Alarms(BaseModel):
    """When the run says that something is wrong. 0 turns an alarm off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    loss_spike: float = Field(
        8.0,
        ge=0,
        description="Loss or gradient norm so many times as far from the median of the last 20 "
        "steps as is usual there.",
    )
    entropy: float = Field(0.02, ge=0, description="Entropy a token below this, in nats.")
    equal_steps: int = Field(
        3, ge=0, le=1000, description="Steps in a row in which no answer was better than another."
    )
    kl: float = Field(
        0.1, ge=0, description="KL from sampler to trainer (v2, first substep) above this."
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
        "curated": Input(
            ("answers", "trajectories"),
            "Answers that PTX keeps likely; without it the dataset's own references.",
            False,
        ),
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
    keep_every: int = Field(
        0, ge=0, description="Every so many steps a checkpoint is kept to go back to; 0: none."
    )
    keep_tokens: int = Field(
        2,
        ge=0,
        le=1000,
        description="Steps, the last ones, whose tokens and log-probabilities are kept.",
    )
    alarms: Alarms = Alarms()
    system_prompt: str = Field(SYSTEM_PROMPT, description="Sent before every conversation.")

    def check(self) -> None:
        """Raises UserError with all that the engine or the sampler cannot do."""
        needs.check(self)
