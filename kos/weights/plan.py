"""What a merge will do, from headers and configs alone: no torch, no values, seconds for any size.

``preview`` names the target of every adapter tensor and the shard it falls in, and refuses what
does not fit in the words the merge itself would use. The merge follows the same ``layout``.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from kos.errors import UserError
from kos.weights.coding import PACKED
from kos.weights.entries import TYPES
from kos.weights.lora import Adapter, Update
from kos.weights.text import Checkpoint, Weight, kind_of

Into = Literal["bf16", "int4"]


class Out(NamedTuple):
    """A tensor to write: name, safetensors type and shape."""

    name: str
    code: str
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of its values."""
        return math.prod(self.shape) * TYPES[self.code][1]


@dataclass(frozen=True)
class Target:
    """A weight that changes: by which adapter tensors, of which rank, how strongly, where."""

    name: str
    kind: str
    shape: tuple[int, ...]
    sources: tuple[str, ...]
    rank: int
    scale: float
    shard: str


@dataclass(frozen=True)
class Shard:
    """A file that will be written."""

    file: str
    num_tensors: int
    size_bytes: int


@dataclass(frozen=True)
class Plan:
    """A merge before it is run. ``stored_bytes`` are read, ``size_bytes`` written."""

    base: str
    base_format: str
    into: Into
    is_tied: bool
    num_tensors: int
    stored_bytes: int
    size_bytes: int
    shards: tuple[Shard, ...]
    targets: tuple[Target, ...] = ()
    adapter: str = ""
    adapter_writer: str = ""
    adapter_bytes: int = 0
    num_adapter_tensors: int = 0
    dropped: tuple[str, ...] = field(default=(), metadata={"help": "vision, doubles, activations"})

    @property
    def by_source(self) -> dict[str, list[str]]:
        """Every adapter tensor with the weights it changes."""
        found: dict[str, list[str]] = defaultdict(list)
        for target in self.targets:
            for source in target.sources:
                found[source].append(target.name)
        return dict(found)

    @property
    def kinds(self) -> dict[str, int]:
        """Weights that change, by sort."""
        counts: dict[str, int] = defaultdict(int)
        for target in self.targets:
            counts[target.kind] += 1
        return dict(sorted(counts.items()))

    def show(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self) | {"kinds": self.kinds, "by_source": self.by_source}


def preview(
    base: Path, adapter: Path | None = None, *, shard_gb: float = 4.0, into: Into = "bf16"
) -> Plan:
    """The plan of merging the adapter at ``adapter`` into the base at ``base``.

    Raises ``UserError`` as the merge would: a tensor without a target, a broken file.
    """
    checkpoint = Checkpoint(base)
    found = Adapter(adapter) if adapter else None
    updates = plan_updates(checkpoint, found)
    return describe(checkpoint, found, updates, layout(checkpoint, into, shard_gb * 1e9), into)


def plan_updates(base: Checkpoint, adapter: Adapter | None) -> dict[str, Update]:
    """Every weight the adapter changes; raises ``UserError`` when a tensor has no target."""
    if adapter is None:
        return {}
    shapes = {name: weight.shape for name, weight in base.items()}
    return adapter.plan(shapes, is_tied=base.is_tied, config=base.config)


def layout(base: Checkpoint, into: Into, max_bytes: float) -> dict[str, list[Out]]:
    """Output files and what stands in them, the tensors of one weight together."""
    if into == "int4" and not any(weight.is_int4 for weight in base.values()):
        raise UserError(
            f"{base.folder.name} holds no packed INT4 weight in groups of 32: only such a base "
            "can be packed again. Merge into bf16"
        )
    parts: list[list[Out]] = []
    size = 0
    for weight in base.values():
        group = outputs(weight, into)
        added = sum(out.size_bytes for out in group)
        if not parts or size + added > max_bytes:
            parts.append([])
            size = 0
        parts[-1] += group
        size += added
    return {_shard_name(i, len(parts)): part for i, part in enumerate(parts, start=1)}


def outputs(weight: Weight, into: Into) -> list[Out]:
    """The tensors that one weight becomes."""
    if into == "bf16" or not weight.is_int4:
        return [Out(weight.name, weight.written_code, weight.shape)]
    assert weight.scale is not None
    stem = weight.name.removesuffix(".weight")
    return [
        Out(stem + PACKED, "I32", weight.stored.shape),
        Out(f"{stem}.weight_scale", "BF16", weight.scale.shape),
        Out(f"{stem}.weight_shape", "I32", (2,)),
    ]


def describe(
    base: Checkpoint,
    adapter: Adapter | None,
    updates: Mapping[str, Update],
    files: Mapping[str, Iterable[Out]],
    into: Into,
) -> Plan:
    """A merge in words and numbers."""
    shards = tuple(
        Shard(file, len(list(outs)), sum(out.size_bytes for out in outs))
        for file, outs in files.items()
    )
    places = {_weight_name(out.name): file for file, outs in files.items() for out in outs}
    return Plan(
        base=base.folder.name,
        base_format=base.format,
        into=into,
        is_tied=base.is_tied,
        num_tensors=sum(shard.num_tensors for shard in shards),
        stored_bytes=sum(weight.stored_bytes for weight in base.values()),
        size_bytes=sum(shard.size_bytes for shard in shards),
        shards=shards,
        targets=tuple(_target(update, places) for update in updates.values()),
        adapter=adapter.folder.name if adapter else "",
        adapter_writer=adapter.writer if adapter else "",
        adapter_bytes=sum(entry.size_bytes for entry in adapter.entries) if adapter else 0,
        num_adapter_tensors=len(adapter.entries) if adapter else 0,
        dropped=tuple(entry.name for entry in base.dropped),
    )


def _target(update: Update, places: Mapping[str, str]) -> Target:
    name = update.name
    return Target(
        name,
        kind_of(name),
        update.shape,
        update.sources,
        update.rank,
        update.scale,
        places[name],
    )


def _weight_name(name: str) -> str:
    return f"{name.removesuffix(PACKED)}.weight" if name.endswith(PACKED) else name


def _shard_name(number: int, total: int) -> str:
    """Hugging Face's name of shard ``number`` (from 1) of ``total``."""
    return "model.safetensors" if total == 1 else f"model-{number:05d}-of-{total:05d}.safetensors"
