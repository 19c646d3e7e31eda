"""The average job: the mean of two or more adapters of one base (Kimi k1.5's model merging).

An adapter adds scale * B @ A to a weight. The mean of the merged models is the mean of these
updates, which is again a LoRA: factors stacked, ranks added. The mean of the factors themselves
keeps the rank, but mean(B) @ mean(A) is another matrix than the mean of B @ A.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from kos.config import Average
from kos.errors import UserError
from kos.events import Job, Progress, Result, Saved
from kos.weights import average as models
from kos.weights.shards import read_json

ADAPTER, MERGED = "adapter", "merged"
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
INPUTS = ("adapter", "second", "third", "fourth")
# Of these the stacking of factors would have to know more than two matrices a weight.
UNSTACKABLE = ("target_parameters", "rank_pattern", "alpha_pattern")


class Source(NamedTuple):
    """One adapter with the share it has in the mean."""

    name: str
    config: dict[str, Any]
    tensors: dict[str, Tensor]
    share: float

    @property
    def scale(self) -> float:
        """What B @ A is multiplied by: alpha / r, or alpha / sqrt(r) of rank-stabilised LoRA."""
        rank = self.config["r"]
        return float(
            self.config["lora_alpha"]
            / (math.sqrt(rank) if self.config.get("use_rslora") else rank)
        )


def average(config: Average, job: Job) -> None:
    """Write ``job.folder/adapter``. Raises UserError when the adapters do not belong together."""
    names = [name for name in INPUTS if name in job.inputs]
    shares = _shares(config.shares, len(names))
    adapters = [name for name in names if (job.inputs[name] / CONFIG).exists()]
    if not adapters:
        _average_models([job.inputs[name] for name in names], shares, job)
        return
    if len(adapters) < len(names):
        raise UserError(
            f"{', '.join(adapters)} are adapters and the others whole models; merge the adapters "
            "first, or average adapters alone"
        )
    sources = [
        _read(name, job.inputs[name], share) for name, share in zip(names, shares, strict=True)
    ]
    _check_alike(sources, of=config.of)
    job.emit(Progress("average", 0, 1, "adapters"))
    made = mean_of_updates(sources) if config.of == "updates" else mean_of_factors(sources)
    _write(job.folder / ADAPTER, *made)
    job.emit(Progress("average", 1, 1, "adapters"))
    summary = {
        "rank": made[0]["r"],
        "alpha": made[0]["lora_alpha"],
        "of": config.of,
        "shares": shares,
    }
    job.emit(Saved("adapter", ADAPTER, summary))
    job.emit(Result(summary))


def _average_models(folders: Sequence[Path], shares: Sequence[float], job: Job) -> None:
    """The mean of whole models, shard by shard, as a merged model."""
    made = models.average(
        folders,
        job.folder / MERGED,
        shares=shares,
        on_bytes=lambda done, total: job.emit(Progress("average", done, total, "bytes")),
    )
    summary = {
        "num_tensors": made.num_tensors,
        "size_bytes": made.size_bytes,
        "shares": list(shares),
    }
    job.emit(Saved("merged", MERGED, summary))
    job.emit(Result(summary))


def mean_of_factors(sources: Sequence[Source]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config and tensors of the adapter whose every tensor is the mean, taken in float64."""
    first = sources[0]
    if any((one.config["r"], one.scale) != (first.config["r"], first.scale) for one in sources):
        ranks = ", ".join(f"{one.config['r']} (scale {one.scale:g})" for one in sources)
        raise UserError(
            f"factors can only be averaged at one rank and scale, and these have {ranks}; "
            "average the updates instead"
        )
    tensors = {
        name: torch.stack([one.share * one.tensors[name].double() for one in sources])
        .sum(0)
        .to(tensor.dtype)
        for name, tensor in first.tensors.items()
    }
    return dict(first.config), tensors


def mean_of_updates(sources: Sequence[Source]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config and tensors of the adapter whose update is the mean of the updates.

    A (r, C) are stacked, B (R, r) stand side by side with share and scale in them; alpha equals
    the rank, so that nothing is multiplied again.
    """
    first = sources[0]
    rank = sum(int(one.config["r"]) for one in sources)
    tensors = {
        name: torch.cat([one.tensors[name] for one in sources], dim=0)
        if _side(name) == "A"
        else torch.cat([_scaled(one, name) for one in sources], dim=1)
        for name in first.tensors
    }
    settings = {"r": rank, "lora_alpha": rank, "use_rslora": False}
    return {**first.config, **settings}, tensors


def _scaled(source: Source, name: str) -> Tensor:
    tensor = source.tensors[name]
    return (tensor.double() * source.share * source.scale).to(tensor.dtype)


def _side(name: str) -> str:
    """ "A" or "B", of linear layers and of embeddings: both have rank rows in A, columns in B."""
    if ".lora_A." in name or ".lora_embedding_A" in name:
        return "A"
    if ".lora_B." in name or ".lora_embedding_B" in name:
        return "B"
    raise UserError(
        f"{name} is no factor of a LoRA; only plain LoRA adapters can be averaged here"
    )


def _shares(wanted: Sequence[float], count: int) -> list[float]:
    if not wanted:
        return [1 / count] * count
    if len(wanted) != count or min(wanted) < 0 or not sum(wanted):
        raise UserError(
            f"{count} adapters need {count} shares that are not negative; found "
            f"{', '.join(f'{share:g}' for share in wanted)}"
        )
    return [share / sum(wanted) for share in wanted]


def _read(name: str, folder: Path, share: float) -> Source:
    config: dict[str, Any] = read_json(folder / CONFIG)
    if not (folder / WEIGHTS).exists():
        raise UserError(f"the {name} input has no {WEIGHTS}: it is no adapter")
    if config.get("peft_type", "LORA") != "LORA" or config.get("use_dora"):
        raise UserError(f"the {name} input is no plain LoRA, and only these can be averaged")
    return Source(name, config, load_file(folder / WEIGHTS), share)


def _check_alike(sources: Sequence[Source], *, of: str) -> None:
    first = sources[0]
    for one in sources[1:]:
        strangers = sorted(one.tensors.keys() ^ first.tensors.keys())
        if strangers:
            raise UserError(
                f"the adapters {first.name} and {one.name} change different weights, "
                f"{strangers[0]} for one; average adapters of the same base and modules"
            )
        for name, tensor in first.tensors.items():
            if _outer(name, tensor) != _outer(name, one.tensors[name]):
                raise UserError(
                    f"{name} is {tuple(tensor.shape)} in {first.name} and "
                    f"{tuple(one.tensors[name].shape)} in {one.name}: they are of different bases"
                )
    kinds = {name for one in sources for name in UNSTACKABLE if one.config.get(name)}
    if of == "updates" and kinds:
        raise UserError(
            f"the adapters use {min(kinds)}, whose updates cannot be stacked; average the factors"
        )


def _outer(name: str, tensor: Tensor) -> int:
    """The side of a factor that belongs to the weight, not to the rank."""
    return tensor.shape[1] if _side(name) == "A" else tensor.shape[0]


def _write(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    partial = folder.with_name(folder.name + ".part")
    for old in (partial, folder):
        shutil.rmtree(old, ignore_errors=True)
    partial.mkdir(parents=True)
    kept = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(kept, partial / WEIGHTS, metadata={"format": "pt"})
    (partial / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True))
    partial.replace(folder)
