"""INT4 -> float32 merge -> NVFP4 of the routed experts, everything else BF16: for ``merge.py``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from kos.weights import nvfp4, plan, shards
from kos.weights.fold import Writer
from kos.weights.fused import Nvfp4Encoder
from kos.weights.lora import Adapter
from kos.weights.nvfp4 import Nvfp4Weight
from kos.weights.shards import Spec
from kos.weights.text import Checkpoint, Weight

SUFFIXES = ("weight", "weight_scale", "weight_scale_2")
SHARD_BYTES = 1e9


def encode(base: Path, adapter: Path, folder: Path) -> None:
    source = Checkpoint(base)
    updates = plan.plan_updates(source, Adapter(adapter))
    writer = Writer(source, updates, lambda _: None)
    encoder = Nvfp4Encoder()
    ready: dict[str, Nvfp4Weight] = {}

    def pieces(spec: Spec) -> Iterator[Tensor]:
        stem, _, last = spec.name.rpartition(".")
        weight = source.get(f"{stem}.weight")
        if weight is None or not weight.is_int4:
            yield from writer.pieces(spec)
            return
        if weight.name not in ready:
            names = partners(weight.name)
            group = [(source[name], updates.get(name)) for name in names]
            ready.update(zip(names, encoder.encode(group), strict=True))
        yield ready[weight.name][SUFFIXES.index(last)]
        if last == SUFFIXES[-1]:
            del ready[weight.name]

    parts = shards.split(
        [spec for weight in source.values() for spec in specs(weight)], SHARD_BYTES
    )
    files = {shards.shard_name(i, len(parts)): part for i, part in enumerate(parts, start=1)}
    for file, part in files.items():
        shards.write_shard(folder / file, part, pieces)
    shards.write_index(folder, files)


def partners(name: str) -> list[str]:
    """Gate and up share a scale; down stands alone."""
    stem = name.rsplit(".", 2)[0]
    parts = ("down_proj",) if ".down_proj." in name else ("gate_proj", "up_proj")
    return [f"{stem}.{part}.weight" for part in parts]


def specs(weight: Weight) -> list[Spec]:
    if not weight.is_int4:
        return [weight.spec]
    rows, columns = weight.shape
    stem = weight.name.removesuffix(".weight")
    return [
        Spec(f"{stem}.weight", torch.uint8, (rows, columns // 2)),
        Spec(f"{stem}.weight_scale", torch.float8_e4m3fn, (rows, columns // nvfp4.BLOCK)),
        Spec(f"{stem}.weight_scale_2", torch.float32, ()),
    ]
