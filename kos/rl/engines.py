"""The engine of a job: opened as its config says, told of, and let go of whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from typing import Protocol

from kos.config.base import Lora
from kos.engine.base import Engine
from kos.engine.choices import EngineChoice, InEngine, SamplerChoice
from kos.events import Job, Note
from kos.rl.checkpoints import NEVER, Checkpoints


class Trained(Protocol):
    """A job's config that names an engine and the adapter it holds."""

    @property
    def engine(self) -> EngineChoice: ...

    @property
    def lora(self) -> Lora: ...


@contextmanager
def engine_of(
    config: Trained, job: Job, *, sampler: SamplerChoice | None = None
) -> Iterator[Engine]:
    """The job's base with its adapter, or a new one, drawn from by ``sampler``. Raises UserError."""
    engine = config.engine.open(
        job,
        Checkpoints(job, NEVER).machine(),
        lora=config.lora,
        base=job.inputs["base"],
        adapter=job.inputs.get("adapter"),
    )
    with closing((sampler or InEngine()).wrap(engine, job)) as ready:
        job.emit(Note(ready.describe()))
        yield ready


@contextmanager
def engine_when_needed(config: Trained, job: Job) -> Iterator[Callable[[], Engine]]:
    """The same, opened by the first call: a job that finds its work done loads no model."""
    with ExitStack() as stack:
        yield cache(lambda: stack.enter_context(engine_of(config, job)))
