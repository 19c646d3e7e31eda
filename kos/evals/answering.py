"""Who answers the prompts of an evaluation: models in this process, or a server's.

No model is loaded here: the web process reads the knobs.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from kos.registry import Choice, Registry


class Answering(Choice):
    """Who is asked."""


ANSWERING: Registry[Answering] = Registry("answering")


@ANSWERING.register
class InProcess(Answering):
    """The run's inputs, loaded in the job's own process."""

    kind: Literal["inputs"] = "inputs"


@ANSWERING.register
class AtEndpoint(Answering):
    """A model on an OpenAI-compatible server, with tools if wanted."""

    kind: Literal["endpoint"] = "endpoint"
    name: str = Field(
        "served", pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$", description="Its name in the report."
    )
    url: str = Field(
        "http://127.0.0.1:8001", pattern=r"^http(s|\+unix)?://\S+$", description="Without /v1."
    )
    model: str = Field("kos", min_length=1, max_length=200, description="Its name there.")
    key: str = Field("", max_length=80, description="Name of the key to send, if it asks one.")
    dialect: Literal["kimi", "hermes", "server"] = Field(
        "server", description="server: its own template and parser; the others: Kos's."
    )
    tools: tuple[str, ...] = Field((), description="What it may call, one name a line.")
    tools_as: Literal["typescript", "json"] = Field(
        "typescript", description="How Kimi reads the declarations of its tools."
    )
    thinking: bool = Field(True, description="Let the model think before it answers.")
    observation_tokens: int = Field(
        2000, ge=50, le=200_000, description="Longest result of a call that it reads, in tokens."
    )
    max_context: int = Field(
        32_768, ge=512, le=4_194_304, description="Prompt and answer together, in tokens."
    )
    in_flight: int = Field(8, ge=1, le=512, description="Conversations at a time.")
    seconds: float = Field(300, gt=0, le=7200, description="Longest time for one answer.")
