"""What the loop may spend, and how it works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True)
class Limits:
    """Where the loop ends.

    ``seconds`` bounds the whole question, tools included; ``tool_seconds`` one call;
    ``max_tokens`` one generation; ``max_context`` prompt and generation together, in tokens (0:
    not known, the prompt is never shortened). ``seed`` None draws another one each time.
    """

    max_turns: int = 12
    max_calls_per_turn: int = 8
    max_calls: int = 24
    max_tokens: int = 1024
    max_context: int = 32_768
    temperature: float = 0.7
    top_p: float = 1.0
    seed: int | None = None
    seconds: float = 180.0
    tool_seconds: float = 12.0
    max_resamples_per_turn: int = 1
    max_resamples: int = 3


class Options(BaseModel):
    """How the harness works."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["single", "swarm"] = Field(
        "single", description="One agent, or an orchestrator that may hand work to sub-agents."
    )
    context: Literal["keep_last_round", "discard_all", "summary"] = Field(
        "keep_last_round",
        description="When the prompt grows too long: hide older results, start again with a "
        "list of notes, or let the model sum up.",
    )
    context_share: float = Field(
        0.85, gt=0, le=1, description="The share of the context at which that happens."
    )
    tools_as: Literal["typescript", "json"] = Field(
        "typescript", description="How tools are declared to the model."
    )
    thinking: bool = Field(True, description="Let the model think before it answers.")
    observation_tokens: int = Field(
        2_000, ge=50, description="The longest result of one call that the model reads, in tokens."
    )
    run_observation_tokens: int = Field(
        24_000, ge=50, description="All results of one question together, in tokens."
    )
    citations: bool = Field(
        True, description="Number the sources and check what the answer cites."
    )
    faithfulness: bool = Field(
        False, description="Check whether the cited sources say what the answer says."
    )
    resample: bool = Field(True, description="Draw a malformed turn again, with another seed.")
    logprobs: bool = Field(False, description="Ask the server for log-probabilities.")
    max_agents: int = Field(8, ge=1, le=32, description="Sub-agents of one question.")
    parallel_agents: int = Field(4, ge=1, le=32, description="Sub-agents at work at a time.")
    agent_turns: int = Field(8, ge=1, description="Turns of one sub-agent.")
    agent_calls: int = Field(10, ge=0, description="Tool calls of one sub-agent.")
    agent_tokens: int = Field(
        1_000, ge=50, description="The longest result of a sub-agent, in tokens."
    )
