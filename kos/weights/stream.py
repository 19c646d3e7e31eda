"""Write a quantised model shard by shard, reading one weight at a time.

W0 in float32 + D in float32 -> encode -> shard. Nothing but the matrix at hand is in memory, so
a trillion parameters need no more than their largest matrix; a finished shard is noted with its
SHA-256 in a journal and not done again, however the job ended.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from kos.weights import memory, shards
from kos.weights.activations import Calibration
from kos.weights.formats.base import ExportFormat
from kos.weights.journal import Journal, identity
from kos.weights.plan_export import Placement
from kos.weights.shards import DTYPES, Spec
from kos.weights.source import Source, sharing

EXPORT = "export.json"
OnBytes = Callable[[int, int], None]


@dataclass(frozen=True)
class Work:
    """One export: what is read, what becomes of each weight, and what it is told."""

    source: Source
    format: ExportFormat
    placed: Sequence[Placement]
    calibration: Calibration | None = None
    seed: int = 0
    shard_bytes: float = 4e9

    @property
    def quantised(self) -> list[str]:
        """Names of the weights that are quantised."""
        return [one.tensor.name for one in self.placed if one.is_quantised]

    @property
    def kept(self) -> list[str]:
        """Names of the matrices that are not, the tied head among them."""
        names = [
            one.tensor.name
            for one in self.placed
            if not one.is_quantised and len(one.tensor.shape) == 2
        ]
        is_tied = self.source.model.is_tied
        return [*names, "lm_head.weight"] if is_tied and "lm_head.weight" not in names else names

    @property
    def total_bytes(self) -> int:
        """Bytes that are read."""
        return sum(one.tensor.stored_bytes for one in self.placed)

    def specs(self, placement: Placement) -> list[Spec]:
        """The stored tensors of one weight."""
        name, shape = placement.tensor.name, placement.tensor.shape
        if not placement.is_quantised:
            return [self.source.model[name].spec]
        parts = self.format.parts(name, shape)
        return [Spec(part, DTYPES[kind.dtype], kind.shape) for part, kind in parts.items()]

    def shards(self) -> dict[str, list[Placement]]:
        """File name to weights, in order; the tensors of a weight are never parted."""
        groups: list[list[Placement]] = []
        size = 0.0
        for one in self.placed:
            if not groups or size + one.bytes_after > self.shard_bytes:
                groups.append([])
                size = 0.0
            groups[-1].append(one)
            size += one.bytes_after
        return {
            shards.shard_name(number, len(groups)): group
            for number, group in enumerate(groups, start=1)
        }


def write(work: Work, folder: Path, journal: Path, on_bytes: OnBytes) -> dict[str, Any]:
    """Write all shards, index, configs and companions to ``folder``; return size and speed.

    Shards that ``journal`` has from the same work are kept. Raises UserError as the format does.
    """
    memory.keep_freed()
    began, read = time.monotonic(), 0
    plan = work.shards()
    noted = Journal.open(journal, key(work))
    meter = Meter(work.total_bytes, on_bytes)
    for file, group in plan.items():
        size = sum(one.tensor.stored_bytes for one in group)
        if noted.has(folder / file):
            meter.add(size)
            continue
        specs = [spec for one in group for spec in work.specs(one)]
        digest = shards.write_shard(folder / file, specs, Writer(work, group, meter).pieces)
        noted.note(folder / file, digest, {})
        read += size
    named = {file: [s for one in group for s in work.specs(one)] for file, group in plan.items()}
    shards.write_index(folder, named)
    digests = {file: said["sha256"] for file, said in noted.done.items()}
    _write_configs(work, folder, digests)
    return speed(len(plan), read, time.monotonic() - began)


def speed(num_shards: int, read_bytes: int, seconds: float) -> dict[str, Any]:
    """How fast this process wrote what it wrote; shards found done are not in it."""
    return {
        "num_shards": num_shards,
        "read_bytes": read_bytes,
        "seconds": round(seconds, 1),
        "mb_per_second": round(read_bytes / 1e6 / max(seconds, 1e-9), 1),
    }


def _write_configs(work: Work, folder: Path, digests: Mapping[str, str]) -> None:
    """The source's own config, with how its weights are stored; transformers' would lose keys."""
    model = work.source.model
    quantised, kept = work.quantised, work.kept
    config = dict(model.config)
    if said := work.format.config(quantised, kept):
        config["quantization_config"] = said
    shards.write_json(folder / "config.json", config)
    for name, value in work.format.companions(quantised, kept).items():
        shards.write_json(folder / name, value)
    shards.copy_companions(model.folder, folder)
    shapes = {one.tensor.name: list(one.tensor.shape) for one in work.placed if one.is_quantised}
    shards.write_json(
        folder / EXPORT,
        {"format": work.format.model_dump(mode="json"), "quantised": shapes, "sha256": digests},
    )


@dataclass
class Writer:
    """Makes the stored tensors of one shard; the parts of one weight are made together."""

    work: Work
    group: Sequence[Placement]
    meter: Meter
    _owner: dict[str, Placement] = field(default_factory=dict)
    _made: dict[str, Tensor] = field(default_factory=dict)
    _quantised: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._quantised = set(self.work.quantised)
        for one in self.group:
            for spec in self.work.specs(one):
                self._owner[spec.name] = one

    def pieces(self, spec: Spec) -> Iterator[Tensor]:
        """The values of one stored tensor from front to back."""
        owner = self._owner[spec.name]
        if owner.is_quantised:
            yield self._encoded(owner, spec)
        else:
            for rows in self.work.source.blocks(owner.tensor.name):
                yield rows.to(spec.dtype)
            self.meter.add(owner.tensor.stored_bytes)

    def _encoded(self, owner: Placement, spec: Spec) -> Tensor:
        if spec.name not in self._made:
            self._made = self._encode(owner.tensor.name)
            self.meter.add(owner.tensor.stored_bytes)
        made = self._made.pop(spec.name)
        assert made.dtype == spec.dtype and tuple(made.shape) == spec.shape, (spec, made.shape)
        return made

    def _encode(self, name: str) -> dict[str, Tensor]:
        work = self.work
        seen = work.calibration.of(name) if work.calibration else None
        is_shared = work.format.shares_scale
        partners = sharing(name, self._quantised.__contains__) if is_shared else ()
        target = work.source.target(
            name,
            seed=work.seed,
            activations=seen,
            shares_with=partners,
            is_apart=work.format.reads_change,
        )
        made = work.format.encode(target)
        work.source.release(target)
        return made


@dataclass
class Meter:
    """Bytes read so far, told in steps of a hundredth."""

    total: int
    on_bytes: OnBytes
    done: int = 0
    told: int = -1

    def add(self, size_bytes: int) -> None:
        """Count; ``on_bytes`` raises CancelledError when the run is to stop."""
        self.done += size_bytes
        if self.done >= self.total or self.done - self.told >= self.total / 100:
            self.told = self.done
            self.on_bytes(self.done, self.total)


def key(work: Work) -> str:
    """Digest of all that decides the result: format, plan, model, adapter, calibration, seed."""
    seen = work.calibration
    said = [
        work.format.model_dump(mode="json"),
        [(one.tensor.name, one.is_quantised) for one in work.placed],
        *identity(work.source.model, work.source.updates.values()),
        {name: one.amax for name, one in seen.inputs.items()} if seen else None,
        work.seed,
        work.shard_bytes,
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
