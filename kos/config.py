"""What each kind of job can be told. One frozen class a kind; its fields are the form.

``inputs`` names what a job works on: artifacts and datasets, chosen apart from the knobs so
that a pipeline can hand the output of one stage to the next.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from kos.chat.template import SYSTEM_PROMPT
from kos.data.bases import BASES, BaseSource, SmolLM2
from kos.evals.answering import ANSWERING, Answering, InProcess
from kos.grading.base import GRADERS, Grader
from kos.grading.embedded import Embedded
from kos.grading.judge import Judge
from kos.rl.losses import LOSSES, Cispo, Loss
from kos.rl.rewards import REWARDS, ConcisenessBonus, Reward
from kos.weights.formats import FORMATS, ExportFormat, Nvfp4

# A file dropped into the folder is a grader to choose.
GRADERS.register_folder("kos.grading")


class Input(NamedTuple):
    """Something a job works on: an artifact of one of ``kinds``, or a dataset."""

    kinds: tuple[str, ...]
    help: str
    is_required: bool = True


class JobConfig(BaseModel):
    """Base of all job configs: frozen, unknown fields refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inputs: ClassVar[dict[str, Input]] = {}
    queue: ClassVar[Literal["cpu", "gpu", "serve"]] = "gpu"

    kind: str

    @classmethod
    def label(cls) -> str:
        """First line of the docstring, as the console shows it."""
        return (cls.__doc__ or cls.__name__).strip().splitlines()[0].rstrip(".")


class Lora(BaseModel):
    """Low-rank adapter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(16, ge=1, le=512, description="Rank of the adapter; Kos-1 used 44.")
    alpha: float = Field(16, gt=0, description="The update is scaled by alpha / rank.")


class Sampling(BaseModel):
    """How answers are drawn."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_tokens: int = Field(128, ge=1, le=65536, description="Longest answer, in tokens.")
    temperature: float = Field(1.0, ge=0, le=2, description="0 takes the likeliest token.")
    top_p: float = Field(1.0, gt=0, le=1, description="Keep the likeliest tokens up to this mass.")


class Adam(BaseModel):
    """Adam as Kos-1 ran it: constant rate, no decay, no gradient clipping."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    learning_rate: float = Field(1e-5, gt=0, le=1, description="Step size.")
    beta1: float = Field(0.9, ge=0, lt=1, description="Decay of the first moment.")
    beta2: float = Field(0.95, ge=0, lt=1, description="Decay of the second moment.")
    eps: float = Field(1e-8, gt=0, description="Keeps the division finite.")
    clip_norm: float = Field(0.0, ge=0, description="Largest gradient norm; 0 does not clip.")


class ImportBase(JobConfig):
    """Register a base model: fetch or convert it into a Hugging Face folder."""

    queue: ClassVar[Literal["cpu", "gpu", "serve"]] = "cpu"
    kind: Literal["base"] = "base"
    source: Annotated[BaseSource, BASES] = SmolLM2()


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


class Train(JobConfig):
    """Reinforcement learning on rubrics."""

    inputs: ClassVar[dict[str, Input]] = {
        "base": Input(("base", "merged"), "The model to train."),
        "adapter": Input(("adapter",), "Adapter to start from, say of an SFT run.", False),
        "dataset": Input(("dataset",), "Prompts of its training split are sampled."),
    }
    kind: Literal["train"] = "train"
    steps: int = Field(10, ge=1, le=100000, description="Sampling iterations.")
    groups: int = Field(4, ge=1, le=4096, description="Prompts in an iteration; Kos-1 used 32.")
    group_size: int = Field(8, ge=2, le=256, description="Answers a prompt; Kos-1 used 8.")
    substeps: int = Field(2, ge=1, le=64, description="Optimiser steps in an iteration.")
    loss: Annotated[Loss, LOSSES] = Cispo()
    reward: Annotated[Reward, REWARDS] = ConcisenessBonus()
    lora: Lora = Lora()
    adam: Adam = Adam()
    sampling: Sampling = Sampling()
    keep_equal_groups: bool = Field(False, description="Keep groups whose rewards are all equal.")
    checkpoint_seconds: float = Field(30, ge=0, description="Least time between checkpoints.")
    system_prompt: str = Field(SYSTEM_PROMPT, description="Sent before every conversation.")


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


class Asking(BaseModel):
    """How the model is asked: dialect, tools and sampling."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dialect: Literal["auto", "kimi", "hermes", "server"] = Field(
        "auto",
        description="auto: by the model's family; server: its server's own template and parser.",
    )
    tools_as: Literal["typescript", "json"] = Field(
        "typescript", description="How Kimi reads the declarations of its tools."
    )
    thinking: bool = Field(True, description="Let the model think before it answers.")
    system_prompt: str = Field(SYSTEM_PROMPT, description="Sent before every conversation.")
    tools: tuple[str, ...] = Field(
        (), description="What it may call, one name a line: web_search, mcp__records__find."
    )
    observation_tokens: int = Field(
        2000,
        ge=50,
        le=200_000,
        description="The longest result of a call that it reads, in tokens.",
    )
    sampling: Sampling = Sampling(max_tokens=1024, temperature=0.7)


NAME = r"^[a-z0-9][a-z0-9-]{0,39}$"


class Deploy(JobConfig):
    """Serve a model over an OpenAI-compatible endpoint until it is stopped."""

    inputs: ClassVar[dict[str, Input]] = {
        "model": Input(("quantised", "merged", "base"), "The model to serve."),
        "adapter": Input(("adapter",), "Laid over the model as it answers (online LoRA).", False),
    }
    queue: ClassVar[Literal["cpu", "gpu", "serve"]] = "serve"
    kind: Literal["deploy"] = "deploy"
    name: str = Field("kos", pattern=NAME, description="Its model name.")
    server: Literal["auto", "local", "vllm"] = Field(
        "auto", description="auto takes vLLM where it is installed and the model needs it."
    )
    max_context: int = Field(2048, ge=64, le=1048576, description="Longest conversation, tokens.")
    precision: Literal["auto", "bfloat16", "float32"] = Field(
        "auto", description="What vLLM computes in; auto takes the model's own on a GPU."
    )
    restarts: int = Field(
        3, ge=0, le=100, description="How often in a row a crashed server is started again."
    )
    alias: str = Field(
        "", pattern=rf"^$|{NAME}", description="Promote it to this alias once it answers."
    )
    asking: Asking = Asking()


class Remote(JobConfig):
    """Register a model on an OpenAI-compatible server elsewhere, and probe it."""

    queue: ClassVar[Literal["cpu", "gpu", "serve"]] = "serve"
    kind: Literal["remote"] = "remote"
    name: str = Field("remote", pattern=NAME, description="Its model name here.")
    url: str = Field(
        "http://127.0.0.1:8001",
        pattern=r"^https?://[^\s/?#]+[^\s?#]*$",
        max_length=300,
        description="The server's address; /v1 is added to it.",
    )
    served_model: str = Field(
        "", max_length=200, description="Its name there; empty takes the first."
    )
    secret: str = Field("", max_length=80, description="Name of the key to send, if it asks one.")
    max_context: int = Field(8192, ge=64, le=1048576, description="Longest conversation, tokens.")
    alias: str = Field(
        "", pattern=rf"^$|{NAME}", description="Promote it to this alias once it answers."
    )
    asking: Asking = Asking()


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


JOBS: dict[str, type[JobConfig]] = {
    config.model_fields["kind"].default: config
    for config in (
        ImportBase,
        Synthesise,
        Sft,
        Train,
        Merge,
        Export,
        Evaluate,
        Calibrate,
        Deploy,
        Remote,
        Pipeline,
    )
}
