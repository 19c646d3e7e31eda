"""Jobs that learn from comparing answers, and those that make short answers of long ones."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from kos.chat.template import SYSTEM_PROMPT
from kos.config.base import Adam, Input, JobConfig, Lora, Sampling
from kos.engine.choices import ENGINES, EngineChoice, Local
from kos.grading.base import GRADERS, Grader
from kos.grading.embedded import Embedded
from kos.rl.critic.rubrics import MANDATORY, RUBRICS

GRADERS.register_folder("kos.grading")


class Dpo(JobConfig):
    """Direct preference optimisation on pairs of a better and a worse answer."""

    inputs: ClassVar[dict[str, Input]] = {
        "base": Input(("base", "merged"), "The model to train."),
        "adapter": Input(
            ("adapter",), "Adapter to go on from; as it is now it is the reference.", False
        ),
        "pairs": Input(("pairs",), "Better and worse answers, say of a selection."),
    }
    kind: Literal["dpo"] = "dpo"
    epochs: int = Field(1, ge=1, le=100, description="Passes over the pairs.")
    batch_size: int = Field(8, ge=1, le=1024, description="Pairs in an optimiser step.")
    beta: float = Field(
        0.1, gt=0, le=100, description="How closely the reference is kept to; higher is closer."
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=0.5, description="Share of pairs that may be labelled the wrong way round."
    )
    max_length: int = Field(
        2048, ge=16, le=131072, description="Pairs with a longer sequence are left out."
    )
    lora: Lora = Lora()
    adam: Adam = Adam(learning_rate=1e-5)
    engine: Annotated[EngineChoice, ENGINES] = Local()
    checkpoint_seconds: float = Field(30, ge=0, description="Least time between checkpoints.")
    system_prompt: str = Field(
        SYSTEM_PROMPT, description="Sent before conversations that bring none of their own."
    )


class Select(JobConfig):
    """Sample answers and keep the shortest correct one of each prompt, or pairs with it."""

    inputs: ClassVar[dict[str, Input]] = {
        "base": Input(("base", "merged"), "The model that answers."),
        "adapter": Input(("adapter",), "Its adapter, say of a training run.", False),
        "dataset": Input(("dataset",), "Prompts with checks or a verifier."),
    }
    kind: Literal["select"] = "select"
    keeps: Literal["answers", "pairs", "all"] = Field(
        "answers",
        description="answers: the shortest correct one, to fine-tune on; pairs: it against longer "
        "wrong ones and much longer correct ones, for preference optimisation; all: every graded "
        "answer, to refine a critic with.",
    )
    split: Literal["train", "validation", "test"] = Field(
        "train", description="Which prompts are asked."
    )
    max_prompts: int = Field(0, ge=0, description="Ask only so many prompts; 0 asks all.")
    samples: int = Field(8, ge=1, le=256, description="Answers a prompt; Kimi k1.5 drew 8.")
    threshold: float = Field(
        0.68,
        ge=0,
        le=1,
        description="An answer is correct from this score on; a verifier gives 1.",
    )
    longer: float = Field(
        1.5,
        gt=1,
        le=100,
        description="A correct answer this many times as long as the shortest is a worse one.",
    )
    cut_answers: Literal["wrong", "graded"] = Field(
        "wrong",
        description="Answers that reached max_tokens: wrong, since they have no end, or graded "
        "as they stand.",
    )
    prompts_at_once: int = Field(
        8, ge=1, le=1024, description="Prompts sampled together; kept when the job is stopped."
    )
    grader: Annotated[Grader, GRADERS] = Embedded()
    sampling: Sampling = Sampling(max_tokens=256)
    lora: Lora = Lora()
    engine: Annotated[EngineChoice, ENGINES] = Local()
    system_prompt: str = Field(SYSTEM_PROMPT, description="Sent before every conversation.")


class Average(JobConfig):
    """Average two or more adapters of one base, or whole models (Kimi k1.5's model merging)."""

    inputs: ClassVar[dict[str, Input]] = {
        "adapter": Input(
            ("adapter", "merged", "base"), "The first, say of the long-thinking model."
        ),
        "second": Input(("adapter", "merged", "base"), "The second, say of the short one."),
        "third": Input(("adapter", "merged", "base"), "A third.", False),
        "fourth": Input(("adapter", "merged", "base"), "A fourth.", False),
    }
    queue: ClassVar[Literal["cpu", "gpu", "serve"]] = "cpu"
    kind: Literal["average"] = "average"
    of: Literal["updates", "factors"] = Field(
        "updates",
        description="updates: the mean of what the adapters add to the weights, exactly the "
        "average of the merged models; ranks add up. factors: the mean of the tensors A and B, "
        "which keeps the rank and differs from the average of the models. Of adapters only.",
    )
    shares: tuple[float, ...] = Field(
        (), description="Weight of each in its order, one a line; empty takes all alike."
    )


class Critic(JobConfig):
    """Refine the policy as critic on answers whose right and wrong is known."""

    inputs: ClassVar[dict[str, Input]] = {
        "base": Input(("base", "merged"), "The model that is its own critic."),
        "adapter": Input(("adapter",), "Adapter to go on from, say of a training run.", False),
        "dataset": Input(("dataset",), "Prompts with checks or verifiers, sampled anew.", False),
        "answers": Input(("answers",), "Graded answers, several a prompt.", False),
    }
    kind: Literal["critic"] = "critic"
    iterations: int = Field(
        4, ge=1, le=1000, description="Rounds of sampling, learning and measuring."
    )
    prompts: int = Field(16, ge=1, le=4096, description="Prompts sampled in a round.")
    samples: int = Field(8, ge=2, le=256, description="Answers a prompt.")
    margin: float = Field(
        0.5, gt=0, le=1, description="An answer is better when it scores so much higher."
    )
    pairs_a_prompt: int = Field(4, ge=1, le=256, description="At most so many pairs a prompt.")
    holdout: float = Field(
        0.3, gt=0, lt=1, description="Share of the prompts kept to measure the agreement on."
    )
    batch_size: int = Field(8, ge=1, le=1024, description="Pairs in an optimiser step.")
    epochs: int = Field(1, ge=1, le=100, description="Passes over a round's pairs.")
    rubrics: tuple[str, ...] = Field(
        tuple(RUBRICS), min_length=1, description="What answers are compared by, one name a line."
    )
    mandatory: tuple[str, ...] = Field(
        MANDATORY,
        description="Rubrics that the critic must not get worse at, one name a line.",
    )
    grader: Annotated[Grader, GRADERS] = Embedded()
    sampling: Sampling = Sampling()
    lora: Lora = Lora()
    adam: Adam = Adam(learning_rate=1e-4)
    engine: Annotated[EngineChoice, ENGINES] = Local()
    checkpoint_seconds: float = Field(30, ge=0, description="Least time between checkpoints.")
    system_prompt: str = Field(SYSTEM_PROMPT, description="Sent before every conversation.")
