"""What the merges of ``merge.py`` are worth: decoded against the libraries that own the formats."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor

from kos.weights import plan
from kos.weights.fold import merged_rows
from kos.weights.lora import Adapter
from kos.weights.names import PREFIX
from kos.weights.shards import Index
from kos.weights.text import Checkpoint

EXPERT = "model.layers.1.mlp.experts.{}.{}_proj"
SAMPLED = ((0, "gate"), (1, "up"), (1, "down"))


def check(folder: Path) -> str:
    """Relative errors of the sampled experts, as Markdown."""
    warnings.simplefilter("ignore")
    base = Checkpoint(folder / "base")
    updates = plan.plan_updates(base, Adapter(folder / "adapter"))
    names = [EXPERT.format(*one) for one in SAMPLED]
    ideal = {}
    for name in names:
        weight = base[f"{name}.weight"]
        ideal[name] = merged_rows(weight, updates[weight.name], 0, weight.shape[0])
    lines = ["| served weights, decoded by compressed-tensors | relative error |", "|---|---|"]
    for way, prefix in (("cookbook", PREFIX), ("kos int4", "")):
        inner = folder / way / "merged" if way == "kos int4" else folder / way
        found = Index(inner)
        errors = [far(theirs(found, prefix + name), ideal[name]) for name in names]
        lines.append(f"| {way} | {max(errors):.2%} |")
    raw = [far(theirs(base.index, PREFIX + name), ideal[name]) for name in names]
    lines.append(f"| the base alone: |delta| / |W| | {max(raw):.2%} |")
    same, total = nvfp4_same(folder, ideal)
    lines += ["", f"NVFP4 tensors equal to ModelOpt's byte for byte: {same} of {total}."]
    return "\n".join(lines)


def theirs(index: Index, name: str) -> Tensor:
    """compressed-tensors' own decoding of a packed weight, float32."""
    from compressed_tensors.compressors.pack_quantized import helpers

    packed, scale, shape = (
        index[f"{name}.weight_{part}"].read() for part in ("packed", "scale", "shape")
    )
    q = helpers.unpack_from_int32(packed, 4, torch.Size(shape.tolist()))
    return (q.float().view(q.shape[0], -1, 32) * scale.float().unsqueeze(-1)).flatten(1)


def far(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


def nvfp4_same(folder: Path, ideal: dict[str, Tensor]) -> tuple[int, int]:
    """Of the sampled experts' NVFP4 tensors, how many ModelOpt makes just so from the ideal."""
    from modelopt.torch.quantization.qtensor import NVFP4QTensor

    index = Index(folder / "kos nvfp4")
    same = total = 0
    for name, wanted in ideal.items():
        scale_2 = index[f"{name}.weight_scale_2"].read()
        codes, scale, _ = NVFP4QTensor.quantize(wanted, 16, weights_scaling_factor_2=scale_2)
        pairs = (
            (codes._quantized_data, index[f"{name}.weight"].read()),
            (scale, index[f"{name}.weight_scale"].read()),
        )
        same += sum(torch.equal(a.view(torch.uint8), b.view(torch.uint8)) for a, b in pairs)
        total += len(pairs)
    return same, total
