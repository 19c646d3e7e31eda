"""What every job's config is made of."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field


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

    def check(self) -> None:
        """Raise UserError when the knobs ask together what cannot be had, before a run is queued."""


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
