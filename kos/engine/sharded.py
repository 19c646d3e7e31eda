"""The local engine over several processes: weights in shards (FSDP2), data split by rows.

Every process makes the same calls with the same data. A micro-batch is cut into as many parts
of equal shape as there are processes, so that all of them gather and reduce the same layers in
the same order; gradients are summed, as losses are. Only the layers of the decoder lie in
shards: embeddings are whole everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from kos.config.base import Adam, Lora
from kos.engine.base import Datum, ForwardOutput, OnProgress
from kos.engine.batches import micro_batches
from kos.engine.checkpoint import write_state
from kos.engine.local import LocalEngine
from kos.engine.machine import Machine
from kos.errors import UserError
from kos.rl.losses.base import Loss


class ShardedEngine(LocalEngine):
    """One process of several; ``open`` needs torch's process group."""

    _mesh: DeviceMesh

    @classmethod
    def open(
        cls,
        base: Path,
        machine: Machine,
        *,
        lora: Lora,
        seed: int,
        adapter: Path | None = None,
        is_prefix_frozen: bool = False,
    ) -> ShardedEngine:
        """Load the base as ``LocalEngine`` does, then keep this process's share of it."""
        engine = super().open(base, machine, lora=lora, seed=seed, adapter=adapter)
        assert isinstance(engine, ShardedEngine)
        engine._mesh = init_device_mesh(machine.device.partition(":")[0], (dist.get_world_size(),))
        engine._shard()
        return engine

    def _shard(self) -> None:
        base = self.model.get_base_model()
        layers = getattr(self._body, "layers", None)
        if layers is None:
            raise UserError(
                f"a {base.config.model_type} has no list of layers to lay in shards; train it "
                "with the engine local"
            )
        # Used beside the decoder's own forward, and one tensor where they are tied.
        whole = {base.get_input_embeddings().weight, *base.get_output_embeddings().parameters()}
        for layer in layers:
            fully_shard(layer, mesh=self._mesh)
        fully_shard(self._body, mesh=self._mesh, ignored_params=whole)
        for module in self.model.modules():
            if isinstance(module, FSDPModule):
                # A sum over all tokens, not a mean over processes.
                module.set_gradient_divide_factor(1.0)
                # Gloo knows no scaled sum.
                module.set_force_sum_reduction_for_comms(True)

    def _run(
        self,
        data: Sequence[Datum],
        loss: Loss,
        temperature: float,
        on_progress: OnProgress | None,
    ) -> ForwardOutput:
        rank, count = dist.get_rank(), dist.get_world_size()
        total, num_done = 0.0, 0
        own: dict[int, tuple[float, ...]] = {}
        for batch in micro_batches(data, count=count):
            part = batch.part(rank, count)
            # A process without a row of its own keeps step with the others all the same.
            is_idle = not part.numbers
            value, rows = self.run_batch(part, loss, temperature, is_idle=is_idle)
            total += value
            own.update(zip(part.numbers, rows, strict=False))
            num_done += len(batch.numbers)
            if on_progress is not None:
                on_progress(num_done, len(data))
        return self._gather(total, own, len(data))

    def _gather(
        self, total: float, own: dict[int, tuple[float, ...]], count: int
    ) -> ForwardOutput:
        """What all processes found, in the order of the data."""
        parts: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(parts, (total, own))
        found: dict[int, tuple[float, ...]] = {}
        for _, rows in parts:
            found |= rows
        # In the order of the ranks, so that every process adds up to the same bits.
        value = sum(part for part, _ in parts)
        return ForwardOutput(value, tuple(found[number] for number in range(count)))

    def _take_weights(self, adapter: dict[str, Tensor]) -> None:
        weights = dict(self.model.named_parameters())
        for name, whole in adapter.items():
            # peft leaves the adapter's name out of what it saves.
            weight = weights[name.removesuffix(".weight") + ".default.weight"]
            with torch.no_grad():
                weight.copy_(self._part(whole, weight))

    def _moments(self) -> dict[str, Any] | None:
        moments = super()._moments()
        if moments is None:
            return None
        state = {
            number: {name: self._whole(value) for name, value in found.items()}
            for number, found in moments["state"].items()
        }
        return {**moments, "state": state}

    def _take_moments(self, moments: dict[str, Any]) -> None:
        weights = self.trainable()
        state = {
            number: {
                name: self._part(value, weights[number]) if name != "step" else value
                for name, value in found.items()
            }
            for number, found in moments["state"].items()
        }
        self._prepare_optimiser(Adam()).load_state_dict({**moments, "state": state})

    def _write(self, path: Path, state: Mapping[str, Any]) -> None:
        if dist.get_rank() == 0:
            write_state(path, state)
        dist.barrier()

    def _whole(self, weight: Tensor) -> Tensor:
        return weight.full_tensor() if isinstance(weight, DTensor) else weight

    def _part(self, whole: Tensor, like: Tensor) -> Tensor:
        """This process's share of ``whole``, laid out as ``like`` is."""
        whole = whole.to(like.device, like.dtype)
        if not isinstance(like, DTensor):
            return whole
        return distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None)

    def save_weights(self, folder: Path) -> None:
        """Write the whole adapter, from the first process alone."""
        if dist.get_rank() == 0:
            super().save_weights(folder)
        else:
            self._weights()
        dist.barrier()
