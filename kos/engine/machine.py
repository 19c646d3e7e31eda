"""What this machine computes with: device, number format, threads.

Chosen from what the processor reports, not from a stopwatch, so that the same machine always
chooses the same and a run can be repeated bit for bit.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any, Literal

# A waiting thread sleeps instead of spinning: with two cores and a web server beside, a
# spinning one takes the core from the thread it waits for. Read when torch loads OpenMP.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch


@dataclass(frozen=True)
class Machine:
    """Where and how a model runs in this process. ``threads`` counts CPU threads."""

    device: str
    dtype: Literal["float32", "bfloat16"]
    threads: int

    @property
    def torch_dtype(self) -> torch.dtype:
        """``dtype`` as torch names it."""
        return torch.bfloat16 if self.dtype == "bfloat16" else torch.float32

    def use(self) -> Machine:
        """Set this process's thread count; returns itself."""
        torch.set_num_threads(self.threads)
        return self

    def describe(self) -> str:
        """A sentence for the run's log."""
        where = "the GPU" if self.device.startswith("cuda") else f"{self.threads} CPU threads"
        return f"Computing in {self.dtype} on {where}."

    def to_json(self) -> dict[str, Any]:
        """As a checkpoint keeps it."""
        return asdict(self)


def probe() -> Machine:
    """The fastest sensible choice: a GPU, else all cores, in bfloat16 where AMX multiplies it.

    ``KOS_THREADS`` overrides the number of threads. Without AMX bfloat16 is no faster than
    float32 for sampling and half as fast for training (measured on AVX-512).
    """
    threads = int(os.environ.get("KOS_THREADS", 0)) or len(os.sched_getaffinity(0))
    if torch.cuda.is_available():
        return Machine("cuda", "bfloat16", threads)
    has_amx = bool(torch.cpu.get_capabilities().get("amx_bf16", False))
    return Machine("cpu", "bfloat16" if has_amx else "float32", threads)
