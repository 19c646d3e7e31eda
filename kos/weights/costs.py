"""What a model costs that this machine cannot run: a calculation from its shapes, no measurement.

Sizes, memory and time follow from the weights that a config implies, the format's own ``parts``
and a machine's rates. No torch. The times are lower bounds by bytes and
multiplications; a real run also waits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from kos.weights.formats.base import ExportFormat
from kos.weights.plan_export import Preview, TextTensor, place, summarise
from kos.weights.shapes import Parameters, active, kv_bytes_per_token, tensors

LABEL = "calculated from the model's shapes, not measured"

# What merging and exporting one weight takes on one core, in nanoseconds: INT4 decoding, the
# adapter's product and NVFP4, compiled; 50 ms for 14.7 million weights. Measured on two cores of
# a Cascade Lake server with benchmarks/merge.py's checkpoint.
NANOSECONDS_PER_WEIGHT = 3.4
ADAPTER_BYTES = 2


class Machine(BaseModel):
    """Where it would run. Bytes are 10^9; rates are what the machine sustains."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory_gb: float = Field(64, gt=0, description="Main memory.")
    disk_gb: float = Field(4000, gt=0, description="Free disk.")
    disk_mb_per_second: float = Field(
        1000, gt=0, description="What the disk reads and writes, together."
    )
    cores: int = Field(16, ge=1, description="Processor cores.")
    num_gpus: int = Field(8, ge=0, description="GPUs; 0 for none.")
    gpu_memory_gb: float = Field(141, gt=0, description="Memory of one GPU.")
    gpu_tflops: float = Field(
        400, gt=0, description="BF16 multiplications one GPU sustains, in 10^12 a second."
    )
    gpu_mb_per_second: float = Field(
        4.0e6, gt=0, description="What one GPU reads of its memory, in 10^6 bytes a second."
    )


class Workload(BaseModel):
    """How much text is calibrated on and served, and how large the adapter is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(44, ge=0, le=512, description="Rank of the adapter on all linears.")
    samples: int = Field(256, ge=1, description="Conversations to calibrate on.")
    max_tokens: int = Field(3072, ge=1, description="Their length in tokens.")
    context: int = Field(32768, ge=1, description="Tokens of one conversation that is served.")
    conversations: int = Field(16, ge=1, description="Conversations served at once.")
    shard_gb: float = Field(4.0, gt=0, description="Largest output shard.")


@dataclass(frozen=True)
class Cost:
    """One job: memory and disk in bytes, seconds; ``fits`` and, if not, ``why``.

    ``gpu_bytes`` is for each GPU. ``limit`` names what the time is bound by.
    """

    job: str
    memory_bytes: float
    disk_bytes: float
    gpu_bytes: float
    seconds: float
    limit: str
    fits: bool
    why: str = ""

    def show(self) -> dict[str, Any]:
        """For a JSON answer."""
        return asdict(self)


@dataclass(frozen=True)
class Costs:
    """All jobs on one model, format and machine."""

    parameters: Parameters
    preview: Preview
    bf16_bytes: int
    kv_bytes_per_token: int
    jobs: Sequence[Cost]
    label: str = LABEL


def costs(
    config: Mapping[str, Any],
    format: ExportFormat,
    *,
    machine: Machine | None = None,
    workload: Workload | None = None,
    packed: bool = True,
) -> Costs:
    """Merging, calibrating, exporting and serving the model that ``config`` describes.

    ``packed``: its routed experts are INT4 in groups of 32, as released. Raises UserError for a
    config whose shapes are not known here.
    """
    machine, workload = machine or Machine(), workload or Workload()
    weights = list(tensors(config, packed=packed))
    plan = summarise(place(weights, config, format))
    found = Parameters(sum(one.num_weights for one in weights), active(config, weights))
    cache = kv_bytes_per_token(config)
    size = _Sizes(config, weights, plan, found, cache)
    jobs = [
        _merge(size, machine, workload),
        _calibrate(size, machine, workload, format),
        _export(size, machine, workload),
        _serve(size, machine, workload),
    ]
    return Costs(found, plan, plan.bytes_bf16, cache, jobs)


@dataclass(frozen=True)
class _Sizes:
    """What every job is calculated from."""

    config: Mapping[str, Any]
    weights: Sequence[TextTensor]
    plan: Preview
    parameters: Parameters
    cache: int

    @property
    def largest(self) -> int:
        """Values of the largest matrix that is quantised: one is in memory at a time."""
        packed = [math.prod(one.shape) for one in self.weights if one.is_packed]
        return max(packed or [math.prod(one.shape) for one in self.weights])

    def adapter_bytes(self, rank: int) -> int:
        """An adapter on all matrices, experts' own factors shared as Tinker shares them."""
        total = 0
        for one in self.weights:
            if len(one.shape) != 2 or "embed_tokens" in one.name:
                continue
            # Experts share the factor on the side of the hidden size.
            narrow = min(one.shape)
            total += (narrow if one.is_packed else sum(one.shape)) * one.num_alike
        return total * rank * ADAPTER_BYTES

    @property
    def layer_bytes(self) -> int:
        """The largest layer without its routed experts, in BF16, and one expert."""
        first = [one for one in self.weights if one.name.startswith("model.layers.")]
        sums: dict[str, int] = {}
        for one in first:
            layer = one.name.split(".")[2]
            if ".mlp.experts." not in one.name:
                sums[layer] = sums.get(layer, 0) + one.kept_bytes
        last = f"model.layers.{int(self.config['num_hidden_layers']) - 1}.mlp.experts."
        return max(sums.values()) + sum(o.kept_bytes for o in first if o.name.startswith(last))


def _bound(machine: Machine, bytes_moved: float, weights: float) -> tuple[float, str]:
    """Seconds, and whether disk or processor sets them."""
    disk = bytes_moved / (machine.disk_mb_per_second * 1e6)
    processor = weights * NANOSECONDS_PER_WEIGHT * 1e-9 / machine.cores
    return (disk, "disk") if disk >= processor else (processor, "processor")


def _judge(machine: Machine, memory: float, disk: float, gpu: float) -> tuple[bool, str]:
    short = [
        f"needs {needed / 1e9:,.0f} GB of {what}, {there:,.0f} GB are there"
        for needed, there, what in (
            (memory, machine.memory_gb, "memory"),
            (disk, machine.disk_gb, "disk"),
            (gpu, machine.gpu_memory_gb, "memory on each GPU"),
        )
        if needed > there * 1e9
    ]
    return not short, "; ".join(short)


def _cost(
    machine: Machine, job: str, memory: float, disk: float, gpu: float, time: tuple[float, str]
) -> Cost:
    fits, why = _judge(machine, memory, disk, gpu)
    return Cost(job, memory, disk, gpu, time[0], time[1], fits, why)


def _merge(size: _Sizes, machine: Machine, workload: Workload) -> Cost:
    """Into a BF16 copy: what the export can do without."""
    before, after = size.plan.bytes_before, size.plan.bytes_bf16
    adapter = size.adapter_bytes(workload.rank)
    time = _bound(machine, before + adapter + after, size.parameters.total)
    return _cost(machine, "merge to BF16", 0.5e9, before + adapter + after, 0, time)


def _export(size: _Sizes, machine: Machine, workload: Workload) -> Cost:
    """Straight from base and adapter: two float32 matrices, their change and codes in memory."""
    before, after = size.plan.bytes_before, size.plan.bytes_after
    adapter = size.adapter_bytes(workload.rank)
    time = _bound(machine, before + adapter + after, size.parameters.total)
    memory = 0.5e9 + 4 * 4 * size.largest
    return _cost(machine, "merge and export", memory, before + adapter + after, 0, time)


def _calibrate(size: _Sizes, machine: Machine, workload: Workload, format: ExportFormat) -> Cost:
    """Layer by layer: hidden states twice on disk, the tokens put aside once; all weights once."""
    if format.needs == "nothing":
        return Cost("calibrate", 0, 0, 0, 0, "nothing to do", True)
    tokens = workload.samples * workload.max_tokens
    states = tokens * int(size.config["hidden_size"]) * 2
    layers = int(size.config["num_hidden_layers"])
    moved = size.plan.bytes_before + 4 * layers * states
    by_disk = moved / (machine.disk_mb_per_second * 1e6)
    flops = 2 * size.parameters.active * tokens
    rate = machine.gpu_tflops * 1e12 if machine.num_gpus else machine.cores * 5e10
    by_chip = flops / rate
    time = (by_disk, "disk") if by_disk >= by_chip else (by_chip, "multiplications")
    memory = size.layer_bytes + 2e9
    gpu = memory if machine.num_gpus else 0
    return _cost(machine, "calibrate", memory, size.plan.bytes_before + 3 * states, gpu, time)


def _serve(size: _Sizes, machine: Machine, workload: Workload) -> Cost:
    """Weights and caches spread evenly over the GPUs; the time is one token of one conversation."""
    cache = size.cache * workload.context * workload.conversations
    weights = size.plan.bytes_after
    if not machine.num_gpus:
        return Cost("serve", weights + cache, weights, 0, 0, "no GPU", False, "needs GPUs")
    # Engines keep a tenth of the memory for activations and graphs.
    gpu = (weights + cache) / machine.num_gpus / 0.9
    share = size.parameters.active / size.parameters.total
    read = weights * share + size.cache * workload.context
    seconds = read / (machine.gpu_mb_per_second * 1e6 * machine.num_gpus)
    return _cost(machine, "serve", 8e9, weights, gpu, (seconds, "GPU memory, a token"))
