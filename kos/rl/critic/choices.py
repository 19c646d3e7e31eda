"""Who the critic is, as a choice in the form. Knobs only: the web process reads this file."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from kos.events import Job
from kos.registry import Choice, Registry

if TYPE_CHECKING:
    from kos.engine.base import Engine
    from kos.rl.critic.base import PairwiseCritic


class CriticChoice(Choice):
    """Somebody who compares answers."""

    def open(self, engine: Engine, job: Job) -> PairwiseCritic:
        """The critic at work. ``UserError`` when it cannot be had."""
        raise NotImplementedError


CRITICS: Registry[CriticChoice] = Registry("critic")


@CRITICS.register
class PolicyItself(CriticChoice):
    """The policy itself, as Kimi K2 has it."""

    kind: Literal["policy"] = "policy"
    reads: Literal["logprob", "text"] = Field(
        "logprob",
        description="logprob: the likelier of the letters A and B, which any model has; text: "
        "a written reply, for models that think first.",
    )
    min_mass: float = Field(
        0.0,
        ge=0,
        le=1,
        description="A verdict counts as unreadable when A and B together are less likely.",
    )
    orders: Literal["agree", "cancel"] = Field(
        "agree",
        description="agree: a verdict that the order of the two answers flips is a tie; cancel: "
        "the odds of one order are taken from those of the other, for small models that like a "
        "letter (logprob alone).",
    )
    max_tokens: int = Field(512, ge=1, le=32768, description="Longest written reply.")

    def open(self, engine: Engine, job: Job) -> PairwiseCritic:
        """The engine, asked as it stands."""
        from kos.rl.critic.policy import EngineCritic

        return EngineCritic(
            engine,
            reads=self.reads,
            min_mass=self.min_mass,
            max_tokens=self.max_tokens,
            orders=self.orders,
        )


@CRITICS.register
class AtEndpoint(CriticChoice):
    """Another model behind an OpenAI-compatible address."""

    kind: Literal["endpoint"] = "endpoint"
    url: str = Field(
        "http://127.0.0.1:8001", pattern=r"^http(s|\+unix)?://\S+$", description="Without /v1."
    )
    model: str = Field("judge", min_length=1, max_length=200, description="Its name there.")
    key: str = Field("", max_length=80, description="Name of the key to send, if it asks one.")
    max_tokens: int = Field(1024, ge=16, le=32768, description="Longest reply.")
    in_flight: int = Field(16, ge=1, le=512, description="Open requests at a time.")
    tries: int = Field(3, ge=1, le=10, description="Tries before a verdict counts as unreadable.")
    timeout_seconds: float = Field(120, gt=0, le=3600, description="Longest wait for a reply.")

    def open(self, engine: Engine, job: Job) -> PairwiseCritic:
        """A connection for each group."""
        from kos.rl.critic.endpoint import EndpointCritic
        from kos.serving.client import connect

        secret = job.secret(self.key) if self.key else ""
        return EndpointCritic(
            partial(connect, self.url, key=secret, silence_seconds=self.timeout_seconds),
            self.model,
            max_tokens=self.max_tokens,
            in_flight=self.in_flight,
            tries=self.tries,
        )
