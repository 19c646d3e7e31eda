"""Fold an adapter into its base, one output shard at a time.

W' = bf16(W + scale * B @ A), the sum in float32. Reads the base through ``Checkpoint``, so the
result is a plain BF16 text model whatever the base was: without an adapter this is the
extraction of the text model alone. Nothing is loaded through transformers, and no more than a
block of rows of one weight is in memory.

A finished shard is noted in ``checkpoint/merge.json`` and not done again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from kos.config import Merge
from kos.events import Job, Note, Progress, Saved
from kos.weights import shards
from kos.weights.lora import Adapter, Update
from kos.weights.shards import Spec
from kos.weights.tally import Tally, total
from kos.weights.text import Checkpoint, kind_of

FOLDER = "merged"


def merge(config: Merge, job: Job) -> None:
    """Write the merged model to ``merged/`` and tell how much of it changed.

    Raises ``UserError`` before a byte is written when the adapter does not fit the base.
    """
    base = Checkpoint(job.inputs["base"])
    updates = _plan(base, job)
    folder = job.folder / FOLDER
    specs = shards.split((weight.spec for weight in base.values()), config.shard_gb * 1e9)
    plan = {shards.shard_name(i, len(specs)): part for i, part in enumerate(specs, start=1)}
    journal = Journal.open(job.folder / "checkpoint" / "merge.json", _key(plan, base, updates))
    meter = Meter(job, sum(weight.stored_bytes for weight in base.values()))
    for file, part in plan.items():
        if file in journal.done and (folder / file).exists():
            meter.add(sum(base[spec.name].stored_bytes for spec in part))
            continue
        writer = Writer(base, updates, meter)
        digest = shards.write_shard(folder / file, part, writer.pieces)
        journal.note(file, digest, writer.tallies)
    shards.write_index(folder, plan)
    shards.write_json(folder / "config.json", base.config)
    shards.copy_companions(base.folder, folder)
    tallies = journal.tallies()
    shards.write_json(
        folder / "delta.json", {kind: tally.show() for kind, tally in tallies.items()}
    )
    job.emit(Saved("merged", FOLDER, _summary(base, updates, plan, tallies)))


def _plan(base: Checkpoint, job: Job) -> dict[str, Update]:
    """Every weight the adapter changes. Refuses weights that are one with another."""
    if "adapter" not in job.inputs:
        job.emit(Note("no adapter: the text model is extracted as it is"))
        return {}
    adapter = Adapter(job.inputs["adapter"])
    shapes = {name: weight.shape for name, weight in base.items()}
    updates = adapter.plan(shapes, is_tied=base.is_tied)
    kinds = sorted({kind_of(name) for name in updates})
    job.emit(
        Note(
            f"all {len(adapter.entries)} adapter tensors have a target: {len(updates)} of "
            f"{len(base)} weights change ({', '.join(kinds)})"
        )
    )
    return updates


@dataclass
class Meter:
    """Bytes of the base read so far, told in steps of a hundredth."""

    job: Job
    total: int
    done: int = 0
    told: int = -1

    def add(self, size_bytes: int) -> None:
        """Count; raises ``CancelledError`` through ``job.emit`` when the run is to stop."""
        self.done += size_bytes
        if self.done >= self.total or self.done - self.told >= self.total / 100:
            self.told = self.done
            self.job.emit(Progress("merge", self.done, self.total, "bytes"))


@dataclass
class Writer:
    """Makes the values of one output shard and tallies what changed in it."""

    base: Checkpoint
    updates: dict[str, Update]
    meter: Meter
    tallies: dict[str, Tally] = field(default_factory=dict)

    def pieces(self, spec: Spec) -> Iterator[Tensor]:
        """The values of one weight, block of rows by block of rows, as they are written."""
        weight, update = self.base[spec.name], self.updates.get(spec.name)
        blocks = list(weight.blocks())
        share, rest = divmod(weight.stored_bytes, max(1, len(blocks)))
        for start, stop in blocks:
            rows = weight.read_rows(start, stop)
            yield rows.to(spec.dtype) if update is None else self._changed(rows, update, start)
            self.meter.add(share)
        self.meter.add(rest)

    def _changed(self, rows: Tensor, update: Update, start: int) -> Tensor:
        delta = update.delta(start, start + rows.shape[0])
        tally = self.tallies.setdefault(kind_of(update.name), Tally())
        if start == 0:
            tally.num_tensors += 1
        return tally.add(rows, delta)


@dataclass
class Journal:
    """Which shards are done, with their SHA-256 and tallies; a file beside the shards.

    ``key`` stands for plan, base and adapter: a journal of other work is begun anew.
    """

    path: Path
    key: str
    done: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, key: str) -> Journal:
        """Read ``path``, or begin an empty journal when it is missing or of other work."""
        found = shards.read_json(path) if path.exists() else {}
        return cls(path, key, found["done"] if found.get("key") == key else {})

    def note(self, file: str, digest: str, tallies: dict[str, Tally]) -> None:
        """Add a finished shard, on disk before this returns."""
        said = {kind: asdict(tally) for kind, tally in tallies.items()}
        self.done[file] = {"sha256": digest, "tallies": said}
        shards.write_json(self.path, {"key": self.key, "done": self.done})

    def tallies(self) -> dict[str, Tally]:
        """What changed over all shards, by kind of weight."""
        sums: dict[str, Tally] = {}
        for shard in self.done.values():
            for kind, said in shard["tallies"].items():
                sums[kind] = total([sums.get(kind, Tally()), Tally(**said)])
        return dict(sorted(sums.items()))


def _key(plan: dict[str, list[Spec]], base: Checkpoint, updates: dict[str, Update]) -> str:
    """Digest of all that decides the result: plan, base headers, adapter bytes."""
    said = [
        sorted((file, spec.name) for file, part in plan.items() for spec in part),
        [(file.name, file.stat().st_size) for file in base.index.files],
        [(update.name, update.sources, update.scale) for update in updates.values()],
        [shards.sha256(path) for path in {update.a.file for update in updates.values()}],
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _summary(
    base: Checkpoint,
    updates: dict[str, Update],
    plan: dict[str, list[Spec]],
    tallies: dict[str, Tally],
) -> dict[str, Any]:
    """What the console shows: sizes, what was dropped or unpacked, and the change."""
    specs = [spec for part in plan.values() for spec in part]
    return {
        "num_tensors": len(specs),
        "num_parameters": sum(_count(spec) for spec in specs),
        "size_bytes": sum(spec.size_bytes for spec in specs),
        "num_shards": len(plan),
        "num_changed": len(updates),
        "num_unpacked": base.num_packed,
        "num_dropped": len(base.dropped),
        "is_tied": base.is_tied,
        **total(list(tallies.values())).show(),
    }


def _count(spec: Spec) -> int:
    return spec.size_bytes // spec.dtype.itemsize
