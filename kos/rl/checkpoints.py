"""Checkpoints of a training job: weights, optimiser and step in one file, on one machine choice.

Everything random derives from (seed, step), so a job that goes on from its checkpoint ends as
an unbroken one does, bit for bit on a CPU with the same number of threads.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kos.engine.base import Engine
from kos.engine.machine import Machine, probe
from kos.events import Checkpointed, Job


@dataclass
class Checkpoints:
    """The one checkpoint of ``job``, written at most every ``seconds``."""

    job: Job
    seconds: float
    _written_at: float = field(default_factory=time.monotonic)

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.job.folder / "checkpoint"

    def machine(self) -> Machine:
        """What the first attempt computed with: other threads or digits end elsewhere."""
        path = self.folder / "machine.json"
        here = probe()
        if path.exists():
            kept = Machine(**json.loads(path.read_text()))
            return kept if kept.device == here.device else here
        self.folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(here.to_json()))
        return here

    def load(self, engine: Engine) -> tuple[int, dict[str, Any]]:
        """Take up the checkpoint; returns its step and memory, (0, {}) when there is none."""
        path = self.folder / "state.pt"
        return engine.load_state(path) if path.exists() else (0, {})

    def save(
        self,
        engine: Engine,
        step: int,
        memory: Mapping[str, Any] | None = None,
        *,
        is_last: bool = False,
    ) -> None:
        """Write the checkpoint if it is time, after everything about ``step`` was said."""
        if is_last or time.monotonic() - self._written_at >= self.seconds:
            engine.save_state(self.folder / "state.pt", step=step, memory=memory)
            self._written_at = time.monotonic()
            self.job.emit(Checkpointed(step))
