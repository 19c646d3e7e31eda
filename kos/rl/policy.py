"""What draws the answers: the part of an engine that sampling needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from kos.engine.base import OnProgress, Sampled, SamplingParams

if TYPE_CHECKING:
    from kos.engine.models import Chat


class Policy(Protocol):
    """Draws answers and knows which policy they are from. An ``Engine`` is one."""

    chat: Chat

    @property
    def version(self) -> int:
        """Optimiser steps taken."""

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        params: SamplingParams | Sequence[SamplingParams],
        *,
        num_samples: int = 1,
        on_progress: OnProgress | None = None,
    ) -> list[list[Sampled]]:
        """``num_samples`` answers to each prompt, from the weights as they are now."""
