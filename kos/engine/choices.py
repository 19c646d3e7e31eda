"""Which engine trains, and which one samples. Knobs only: the web process reads this file.

A file that registers a choice here must not load torch; ``open`` imports what it needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kos.config.base import Lora
from kos.registry import Choice, Registry

if TYPE_CHECKING:
    from kos.engine.base import Engine
    from kos.engine.machine import Machine
    from kos.events import Job


class EngineChoice(Choice):
    """Where the policy is trained."""

    def open(
        self, job: Job, machine: Machine, *, lora: Lora, base: Path, adapter: Path | None = None
    ) -> Engine:
        """The engine with a new adapter, or with ``adapter``, seeded by ``job.seed``.

        Raises UserError when it cannot be had: what is missing, and what would do.
        """
        raise NotImplementedError


ENGINES: Registry[EngineChoice] = Registry("engine")


@ENGINES.register
class Local(EngineChoice):
    """In the job's own process, on the CPU or one GPU."""

    kind: Literal["local"] = "local"

    def open(
        self, job: Job, machine: Machine, *, lora: Lora, base: Path, adapter: Path | None = None
    ) -> Engine:
        """torch and peft, here."""
        from kos.engine.local import LocalEngine

        return LocalEngine.open(base, machine, lora=lora, seed=job.seed, adapter=adapter)


class SamplerChoice(Choice):
    """Who draws the answers."""


SAMPLERS: Registry[SamplerChoice] = Registry("sampler")


@SAMPLERS.register
class InEngine(SamplerChoice):
    """The engine itself, from the weights it holds."""

    kind: Literal["engine"] = "engine"
