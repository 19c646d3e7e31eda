"""Fold an adapter into its base, one output shard at a time.

W' = bf16(W + scale * B @ A), the sum in float32. Reads the base through ``Checkpoint``, so the
result is a plain BF16 text model whatever the base was: without an adapter this is the
extraction of the text model alone. ``into`` INT4 rounds the sum to the base's own grid instead,
to compare with: that grid swallows an adapter nearly whole. Nothing is loaded through
transformers, and no more than a block of rows of one weight is in memory.

A finished shard is noted in ``checkpoint/merge.json`` and not done again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kos.config import Merge
from kos.events import Job, Note, Progress, Result, Saved
from kos.weights import memory, plan, shards
from kos.weights.fold import Writer
from kos.weights.journal import Journal, identity
from kos.weights.lora import Adapter, Update
from kos.weights.names import PREFIX
from kos.weights.plan import Out, Plan
from kos.weights.shards import DTYPES, Spec
from kos.weights.tally import Tally, total
from kos.weights.text import Checkpoint

FOLDER = "merged"
PLAN = "plan.json"


def merge(config: Merge, job: Job) -> None:
    """Write the merged model to ``merged/`` and tell how much of it changed.

    Raises ``UserError`` before a byte is written when the adapter does not fit the base. A dry
    run ends there, with the plan in ``plan.json``.
    """
    base = Checkpoint(job.inputs["base"])
    adapter = Adapter(job.inputs["adapter"]) if "adapter" in job.inputs else None
    updates = plan.plan_updates(base, adapter)
    files = plan.layout(base, config.into, config.shard_gb * 1e9)
    found = plan.describe(base, adapter, updates, files, config.into)
    job.emit(Note(_told(found, len(base))))
    if config.dry_run:
        shards.write_json(job.folder / PLAN, found.show())
        job.emit(Result(_dry(found)))
        return
    journal = _write(job, base, updates, files)
    folder = job.folder / FOLDER
    shards.write_index(folder, {file: _specs(outs) for file, outs in files.items()})
    shards.write_json(folder / "config.json", _config(base, config.into))
    shards.copy_companions(base.folder, folder)
    tallies = journal.tallies()
    shards.write_json(
        folder / "delta.json", {kind: tally.show() for kind, tally in tallies.items()}
    )
    job.emit(Saved("merged", FOLDER, _summary(base, found, tallies)))


def _write(
    job: Job, base: Checkpoint, updates: Mapping[str, Update], files: Mapping[str, Sequence[Out]]
) -> Journal:
    """All shards that are not there yet."""
    memory.keep_freed()
    journal = Journal.open(job.folder / "checkpoint" / "merge.json", _key(files, base, updates))
    meter = Meter(job, sum(weight.stored_bytes for weight in base.values()))
    for number, (file, outs) in enumerate(files.items(), start=1):
        path = job.folder / FOLDER / file
        if journal.has(path):
            meter.skip(_stored_bytes(base, outs))
            continue
        writer = Writer(base, updates, meter.add)
        digest = shards.write_shard(path, _specs(outs), writer.pieces)
        journal.note(path, digest, writer.tallies)
        if number < len(files):
            job.emit(Note(f"shard {number} of {len(files)} is written, {meter.pace()}"))
    return journal


@dataclass
class Meter:
    """Bytes of the base read so far, told in steps of a hundredth, and how fast."""

    job: Job
    total: int
    done: int = 0
    told: int = -1
    skipped: int = 0
    began: float = field(default_factory=time.monotonic)

    def add(self, size_bytes: int) -> None:
        """Count; raises ``CancelledError`` through ``job.emit`` when the run is to stop."""
        self.done += size_bytes
        if self.done >= self.total or self.done - self.told >= self.total / 100:
            self.told = self.done
            self.job.emit(Progress("merge", self.done, self.total, "bytes"))

    def skip(self, size_bytes: int) -> None:
        """Count what an earlier attempt has done."""
        self.skipped += size_bytes
        self.add(size_bytes)

    def pace(self) -> str:
        """Speed and time left, in words."""
        speed = (self.done - self.skipped) / max(1e-9, time.monotonic() - self.began)
        left = (self.total - self.done) / max(1.0, speed)
        return f"{speed / 1e6:.0f} MB of the base a second, {left / 60:.1f} minutes left"


def _specs(outs: Sequence[Out]) -> list[Spec]:
    return [Spec(out.name, DTYPES[out.code], out.shape) for out in outs]


def _stored_bytes(base: Checkpoint, outs: Sequence[Out]) -> int:
    """What the base takes of the weights in ``outs``; a packed one shows in its shape."""
    whole = (out.name for out in outs if out.name in base)
    stem = (out.name.removesuffix("_shape") for out in outs if out.name.endswith("_shape"))
    return sum(base[name].stored_bytes for name in {*whole, *stem})


def _config(base: Checkpoint, into: str) -> dict[str, Any]:
    """The text model's; packed again, with the base's own word on its packing."""
    if into != "int4":
        return base.config
    said = dict(base.quantisation)
    said["ignore"] = [name.removeprefix(PREFIX) for name in said.get("ignore") or []]
    return {**base.config, "quantization_config": said}


def _key(
    files: Mapping[str, Sequence[Out]], base: Checkpoint, updates: Mapping[str, Update]
) -> str:
    """Digest of all that decides the result: plan, base headers, adapter bytes."""
    said = [
        [(file, *out) for file, outs in files.items() for out in outs],
        *identity(base, updates.values()),
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _told(found: Plan, num_weights: int) -> str:
    if not found.adapter:
        return "no adapter: the text model is extracted as it is"
    return (
        f"all {found.num_adapter_tensors} adapter tensors have a target: {len(found.targets)} of "
        f"{num_weights} weights change ({', '.join(found.kinds)})"
    )


def _dry(found: Plan) -> dict[str, Any]:
    """What a dry run leaves: sizes and counts; the names are in ``plan.json``."""
    return {
        "is_dry_run": True,
        "num_changed": len(found.targets),
        "num_adapter_tensors": found.num_adapter_tensors,
        "kinds": found.kinds,
        "stored_bytes": found.stored_bytes,
        "size_bytes": found.size_bytes,
        "num_shards": len(found.shards),
        "num_dropped": len(found.dropped),
    }


def _summary(base: Checkpoint, found: Plan, tallies: Mapping[str, Tally]) -> dict[str, Any]:
    """What the console shows: sizes, what was dropped or unpacked, and the change."""
    packed = [tally for tally in tallies.values() if tally.num_scales]
    rest = [tally for tally in tallies.values() if not tally.num_scales]
    return {
        "num_tensors": found.num_tensors,
        "num_parameters": sum(_count(weight.shape) for weight in base.values()),
        "size_bytes": found.size_bytes,
        "num_shards": len(found.shards),
        "num_changed": len(found.targets),
        "num_unpacked": base.num_packed if found.into == "bf16" else 0,
        "num_dropped": len(found.dropped),
        "is_tied": found.is_tied,
        "format": found.into,
        **(total(rest).show() if rest or not packed else {}),
        **({"packed": total(packed).show()} if packed else {}),
    }


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count
