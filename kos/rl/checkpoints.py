"""Checkpoints of a training job: weights, optimiser and step in one file, on one machine choice.

Everything random derives from (seed, step), so a job that goes on from its checkpoint ends as
an unbroken one does, bit for bit on a CPU with the same number of threads.

``checkpoint/state.pt`` is what a run goes on from. Every so many steps one is kept beside it as
``state-<step>.pt`` with its adapter in ``adapter-<step>/``. ``go_back`` makes a kept one the run's
own again, ``hand_over`` gives it to another run; both only touch files and load nothing, so the
console may call them while the run does not work.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kos.errors import UserError
from kos.events import Checkpointed, Job
from kos.files import replace_when_whole

if TYPE_CHECKING:
    from kos.engine.base import Engine
    from kos.engine.machine import Machine

FOLDER, STATE, MACHINE = "checkpoint", "state.pt", "machine.json"
# For jobs whose rounds are their checkpoint: of the engine nothing changes.
NEVER = float("inf")


def probe() -> Machine:
    """What this machine computes with."""
    # torch, which the functions below that the console calls need nothing of.
    from kos.engine import machine

    return machine.probe()


@dataclass
class Checkpoints:
    """The one checkpoint of ``job``, written at most every ``seconds``, and those it keeps."""

    job: Job
    seconds: float
    keep_every: int = 0
    _written_at: float = field(default_factory=time.monotonic)

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self.job.folder / FOLDER

    def machine(self) -> Machine:
        """What the first attempt computed with: other threads or digits end elsewhere."""
        from kos.engine.machine import Machine

        path = self.folder / MACHINE
        here = probe()
        if path.exists():
            kept = Machine(**json.loads(path.read_text()))
            return kept if kept.device == here.device else here
        with replace_when_whole(path) as file:
            file.write(json.dumps(here.to_json()).encode())
        return here

    def load(self, engine: Engine) -> tuple[int, dict[str, Any]]:
        """Take up the checkpoint; returns its step and memory, (0, {}) when there is none."""
        path = self.folder / STATE
        return engine.load_state(path) if path.exists() else (0, {})

    def save(
        self,
        engine: Engine,
        step: int,
        memory: Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None = None,
        *,
        is_last: bool = False,
    ) -> None:
        """Write the checkpoint if it is time, after everything about ``step`` was said.

        ``memory`` may be made when it is needed: it can be long.
        """
        is_kept = bool(self.keep_every) and step % self.keep_every == 0
        is_due = is_last or time.monotonic() - self._written_at >= self.seconds
        if not (is_due or is_kept):
            return
        engine.save_state(
            self.folder / STATE, step=step, memory=memory() if callable(memory) else memory
        )
        if is_kept:
            engine.save_weights(self.folder / f"adapter-{step}")
            _copy(self.folder / STATE, kept_state(self.job.folder, step))
        self._written_at = time.monotonic()
        self.job.emit(Checkpointed(step))


def kept_state(folder: Path, step: int) -> Path:
    """Where the kept checkpoint of ``step`` lies in a run's ``folder``."""
    return folder / FOLDER / f"state-{step}.pt"


def kept_steps(folder: Path) -> list[int]:
    """Steps that the run in ``folder`` can go back to, in order."""
    files = (folder / FOLDER).glob("state-*.pt")
    return sorted(int(path.stem.removeprefix("state-")) for path in files)


def go_back(folder: Path, step: int) -> None:
    """Make the kept checkpoint of ``step`` the one that the run in ``folder`` goes on from.

    Kept ones after it are removed: they belong to the way that was left. The run must not be at
    work. What it said of later steps is for the caller to forget. Raises UserError when that
    step was not kept.
    """
    source = _known(folder, step)
    _copy(source, folder / FOLDER / STATE)
    for later in (one for one in kept_steps(folder) if one > step):
        kept_state(folder, later).unlink()
        shutil.rmtree(folder / FOLDER / f"adapter-{later}", ignore_errors=True)


def hand_over(folder: Path, step: int, target: Path) -> None:
    """Give a kept checkpoint of the run in ``folder`` to a new run in the folder ``target``.

    The new run finds it as if it were its own and goes on with step ``step`` + 1; its config may
    have more steps or other knobs, but the same base, rank and reward stages. Raises UserError
    when that step was not kept, or ``target`` has a checkpoint of its own.
    """
    source = _known(folder, step)
    if (target / FOLDER / STATE).exists():
        raise UserError("This run has a checkpoint of its own already; start a new one.")
    _copy(folder / FOLDER / MACHINE, target / FOLDER / MACHINE)
    _copy(source, target / FOLDER / STATE)


def _known(folder: Path, step: int) -> Path:
    path = kept_state(folder, step)
    if not path.exists():
        known = ", ".join(map(str, kept_steps(folder))) or "none"
        raise UserError(f"No checkpoint of step {step} was kept. There are: {known}.")
    return path


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as read, replace_when_whole(target) as written:
        shutil.copyfileobj(read, written)
