"""The mean of two or more models of one shape, shard by shard (model merging).

Source: Kimi k1.5 report, section 2.4 (the average of a long-thinking and a short model).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from kos.errors import UserError
from kos.weights import shards
from kos.weights.shards import Spec
from kos.weights.text import Checkpoint

OnBytes = Callable[[int, int], None]


@dataclass(frozen=True)
class Averaged:
    """What was written; ``digests`` are the shards' SHA-256."""

    num_tensors: int
    size_bytes: int
    digests: dict[str, str]


def average(
    folders: Sequence[Path],
    target: Path,
    *,
    shares: Sequence[float] | None = None,
    shard_gb: float = 4.0,
    on_bytes: OnBytes = lambda done, total: None,
) -> Averaged:
    """Write sum(share * W) / sum(share) of the models in ``folders`` to ``target``, BF16.

    The sum is made in float32, a block of rows at a time. Config and tokenizer are the first
    one's. Raises ``UserError`` when a tensor is missing in one of them or has another shape.
    """
    models = [Checkpoint(folder) for folder in folders]
    weights = _shares(models, shares)
    _refuse_others(models)
    parts = shards.split((weight.spec for weight in models[0].values()), shard_gb * 1e9)
    plan = {shards.shard_name(i, len(parts)): part for i, part in enumerate(parts, start=1)}
    total = sum(weight.stored_bytes for model in models for weight in model.values())
    done, digests = 0, {}
    for file, part in plan.items():
        # A shard appears whole or not at all: one that is there need not be made again.
        if (target / file).exists():
            digests[file] = shards.sha256(target / file)
        else:
            digests[file] = shards.write_shard(
                target / file, part, lambda spec: _mean(spec, models, weights)
            )
        done += sum(model[spec.name].stored_bytes for spec in part for model in models)
        on_bytes(done, total)
    shards.write_index(target, plan)
    shards.write_json(target / "config.json", models[0].config)
    shards.copy_companions(models[0].folder, target)
    size = sum(spec.size_bytes for part in plan.values() for spec in part)
    return Averaged(len(models[0]), size, digests)


def _shares(models: Sequence[Checkpoint], shares: Sequence[float] | None) -> list[float]:
    """The weight of each model, adding up to 1."""
    said = list(shares) if shares else [1.0] * len(models)
    if len(models) < 2 or len(said) != len(models):
        raise UserError(
            f"an average needs two or more models and a share of each; there are {len(models)} "
            f"models and {len(said)} shares"
        )
    if not math.isfinite(sum(said)) or min(said) < 0 or sum(said) == 0:
        raise UserError(f"the shares {said} cannot be weights of a mean: none may be negative")
    return [share / sum(said) for share in said]


def _refuse_others(models: Sequence[Checkpoint]) -> None:
    first = models[0]
    for other in models[1:]:
        missing = sorted(first.keys() ^ other.keys())
        if missing:
            raise UserError(
                f"{first.folder.name} and {other.folder.name} do not hold the same tensors: "
                f"{missing[0]} is in one of them only"
            )
        for name, weight in first.items():
            if weight.shape != other[name].shape:
                raise UserError(
                    f"{name} is {weight.shape} in {first.folder.name} and {other[name].shape} "
                    f"in {other.folder.name}"
                )


def _mean(spec: Spec, models: Sequence[Checkpoint], shares: Sequence[float]) -> Iterator[Tensor]:
    """One tensor; what is no float is the first model's."""
    first = models[0][spec.name]
    for start, stop in first.blocks():
        if not spec.dtype.is_floating_point:
            yield first.read_rows(start, stop)
            continue
        rows = first.read_rows(start, stop).float() * shares[0]
        for model, share in zip(models[1:], shares[1:], strict=True):
            rows.add_(model[spec.name].read_rows(start, stop).float(), alpha=share)
        yield rows.to(spec.dtype)
