"""Jobs that serve a model, here or elsewhere."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from kos.chat.template import SYSTEM_PROMPT
from kos.config.base import Input, JobConfig, Sampling

NAME = r"^[a-z0-9][a-z0-9-]{0,39}$"


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
    reason: str = Field(
        "",
        max_length=2000,
        description="Why it is served although it lost much of its training in the export; "
        "needed where its gate failed.",
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
