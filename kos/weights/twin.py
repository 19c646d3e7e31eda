"""The BF16 twin of an export: the exported numbers, for machines without kernels for them.

Made from the exported bytes, never from the original weights, so that what is evaluated and
served on a CPU is what was exported, up to one BF16 rounding (2^-9 relative).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from kos.weights import shards
from kos.weights.quantised import Exported
from kos.weights.shards import Spec

SHARD_BYTES = 4e9


def write(exported: Exported, target: Path, on_bytes: Callable[[int, int], None]) -> None:
    """Write the twin of an export; ``on_bytes`` is told bytes done and in all."""
    specs = [_spec(exported, name) for name in (*exported.plain, *exported.weights)]
    parts = shards.split(sorted(specs), SHARD_BYTES)
    plan = {shards.shard_name(i, len(parts)): part for i, part in enumerate(parts, start=1)}
    total, done = sum(spec.size_bytes for spec in specs), 0
    for file, part in plan.items():
        shards.write_shard(target / file, part, lambda spec: _values(exported, spec))
        done += sum(spec.size_bytes for spec in part)
        on_bytes(done, total)
    shards.write_index(target, plan)
    config = shards.read_json(exported.folder / "config.json")
    config.pop("quantization_config", None)
    shards.write_json(target / "config.json", config)
    shards.copy_companions(exported.folder, target)


def _spec(exported: Exported, name: str) -> Spec:
    if name in exported.plain:
        entry = exported.plain[name]
        return Spec(name, entry.dtype, entry.shape)
    return Spec(name, torch.bfloat16, exported.weights[name])


def _values(exported: Exported, spec: Spec) -> Iterator[Tensor]:
    yield exported.served(spec.name)
