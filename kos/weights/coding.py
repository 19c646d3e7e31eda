"""How the tensors of a quantised checkpoint belong together, told from names, types and shapes.

| format | weight X (R, C) is stored as |
|---|---|
| INT4, compressed-tensors ``pack-quantized`` | X.weight_packed I32, .weight_scale, .weight_shape |
| NVFP4, ModelOpt | X.weight U8 (R, C/2), .weight_scale F8_E4M3, .weight_scale_2 |
| NVFP4, compressed-tensors | X.weight_packed U8, .weight_scale F8_E4M3, .weight_global_scale |
| MXFP4, ModelOpt and compressed-tensors | X.weight or .weight_packed U8, .weight_scale U8 |
| MXFP4, gpt-oss | X_blocks U8 (E, R, G, 16), X_scales U8 (E, R, G) |
| FP8 | X.weight F8_E4M3 with .weight_scale (one, a row, a block) or .weight_scale_inv (a block) |

The config decides only what the tensors cannot tell: the size of a group or block, and whether
there are zero points, which no format here has. No torch here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kos.errors import UserError
from kos.weights.entries import Entry

PACKED = ".weight_packed"
# Belong to a weight and are read with it.
PARTS = frozenset(
    (
        *("weight_scale", "weight_scale_inv", "weight_scale_2", "weight_global_scale"),
        *("weight_shape", "scales"),
    )
)
# Belong to the activations: of no use once the weights are plain.
ACTIVATIONS = frozenset(
    ("input_scale", "input_global_scale", "output_scale", "k_scale", "v_scale", "activation_scale")
)
# Quantised otherwise than by a scale: known to be there, not read.
FOREIGN = frozenset(("weight_zero_point", "weight_g_idx", "qweight", "qzeros", "absmax"))
METHODS = {
    "compressed-tensors": "compressed-tensors",
    "modelopt": "ModelOpt",
    "modelopt_fp4": "ModelOpt",
    "fp8": "FP8",
    "mxfp4": "MXFP4",
}
FP8_BLOCK = (128, 128)


class Coded(NamedTuple):
    """A quantised weight: plain name, shape, and the rest of ``text.Weight`` in its order."""

    name: str
    shape: tuple[int, ...]
    scale: Entry
    coding: str
    whole_scale: Entry | None = None
    group: int = 32
    block: tuple[int, int] | None = None


def quantisation(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """The config's part on quantisation, {} when there is none; raises on an unknown method."""
    inner = section(config, "text_config")
    found = section(inner, "quantization_config") or section(config, "quantization_config")
    method = found.get("quant_method")
    is_known = isinstance(method, str) and method in METHODS
    if found and not is_known and not (method is None and "format" in found):
        raise UserError(
            f"{folder.name} is quantised as {method}; BF16, FP16, FP32 and the INT4, NVFP4, "
            f"MXFP4 and FP8 of {', '.join(sorted(set(METHODS.values())))} can be read"
        )
    return found


def section(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object ``name`` of a config, {} where there is none; UserError where it is another thing."""
    found = config.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UserError(f"the config's {name} is a {type(found).__name__}, not an object")
    return found


def coded(
    entry: Entry, index: Mapping[str, Entry], config: Mapping[str, Any]
) -> Coded | str | None:
    """The quantised weight that ``entry`` holds the codes of.

    None for a plain tensor; the suffix of one that belongs to a weight or to activations.
    Raises ``UserError`` that names the tensor when its scales are missing or of another shape.
    """
    stem, _, last = entry.name.rpartition(".")
    if last in FOREIGN:
        raise UserError(f"{entry.name} belongs to a quantisation that Kos does not read")
    if entry.name.endswith("_blocks"):
        return _gpt_oss(entry, index)
    if entry.name.endswith("_scales") and entry.name[:-7] + "_blocks" in index:
        return "scales"
    if last in PARTS and (stem + PACKED in index or stem + ".weight" in index):
        return last
    if last in ACTIVATIONS:
        return last
    if last == "weight_packed":
        return _int4(entry, index, config) if entry.code == "I32" else _fp4(entry, index)
    if last == "weight" and entry.code == "U8":
        return _fp4(entry, index)
    if entry.code == "F8_E4M3":
        return _fp8(entry, index, config)
    return None


def _int4(packed: Entry, index: Mapping[str, Entry], config: Mapping[str, Any]) -> Coded:
    stem = packed.name.removesuffix(PACKED)
    scale, shape = _part(packed, index, "weight_scale"), _part(packed, index, "weight_shape")
    _want_rank(packed, 2)
    if shape.shape != (2,) or shape.code not in ("I32", "I64"):
        raise UserError(
            f"{shape.name} should hold two integers, but is {shape.code} {list(shape.shape)}"
        )
    rows, columns = shape.integers()
    weights = _weights(config)
    if weights.get("num_bits", 4) != 4 or weights.get("symmetric") is False:
        raise UserError(f"{packed.name}: packed integers other than symmetric INT4 are not read")
    group = weights.get("group_size") or 32
    if type(group) is not int:
        raise UserError(f"the config's group_size is {str(group)[:40]!r}, which is no number")
    group = columns if group < 0 or weights.get("strategy") == "channel" else group
    wanted = (rows, -(-columns // group))
    if scale.shape != wanted:
        raise UserError(f"{scale.name} has shape {scale.shape}; groups of {group} need {wanted}")
    if packed.shape != (rows, -(-columns // 8)):
        raise UserError(
            f"{packed.name} has shape {packed.shape}; INT4 of {rows} x {columns} needs "
            f"{(rows, -(-columns // 8))}"
        )
    return Coded(f"{stem}.weight", (rows, columns), scale, "int4", None, group)


def _fp4(codes: Entry, index: Mapping[str, Entry]) -> Coded | None:
    """NVFP4 or MXFP4; None for a plain tensor of bytes."""
    stem = codes.name.rpartition(".")[0]
    if codes.name.endswith(".weight") and f"{stem}.weight_scale" not in index:
        return None
    _want_rank(codes, 2)
    scale = _part(codes, index, "weight_scale")
    rows, columns = codes.shape[0], codes.shape[-1] * 2
    group = 32 if scale.code in ("U8", "F8_E8M0") else 16
    if scale.shape != (rows, columns // group) or columns % group:
        raise UserError(
            f"{scale.name} has shape {scale.shape}; blocks of {group} of {codes.name} need "
            f"{(rows, columns // group)}"
        )
    name = f"{stem}.weight"
    if group == 32:
        return Coded(name, (rows, columns), scale, "mxfp4", None, group)
    if codes.name.endswith(PACKED):
        whole = _part(codes, index, "weight_global_scale")
        return Coded(name, (rows, columns), scale, "nvfp4_divided", whole, group)
    whole = _part(codes, index, "weight_scale_2")
    return Coded(name, (rows, columns), scale, "nvfp4", whole, group)


def _gpt_oss(blocks: Entry, index: Mapping[str, Entry]) -> Coded:
    stem = blocks.name.removesuffix("_blocks")
    _want_rank(blocks, 4)
    scale = index.get(f"{stem}_scales")
    if scale is None or scale.shape != blocks.shape[:-1]:
        raise UserError(f"{blocks.name} lacks its {stem}_scales of the same shape: fetch it again")
    experts, outputs, groups, width = blocks.shape
    return Coded(stem, (experts, groups * width * 2, outputs), scale, "gpt_oss")


def _fp8(codes: Entry, index: Mapping[str, Entry], config: Mapping[str, Any]) -> Coded:
    stem = codes.name.rpartition(".")[0]
    scale = index.get(f"{stem}.weight_scale_inv") or _part(codes, index, "weight_scale")
    _want_rank(codes, 2)
    rows, columns = codes.shape
    count = math.prod(scale.shape)
    is_blocked = scale.name.endswith("_inv") or (count > 1 and count != rows)
    said = config.get("weight_block_size") or _weights(config).get("block_structure")
    block = _block(said) if said else FP8_BLOCK
    if not is_blocked:
        return Coded(codes.name, codes.shape, scale, "fp8")
    if count != -(-rows // block[0]) * -(-columns // block[1]):
        raise UserError(
            f"{scale.name} has {count} scales; blocks of {block[0]} x {block[1]} of {codes.name} "
            f"({rows} x {columns}) need {-(-rows // block[0]) * -(-columns // block[1])}"
        )
    return Coded(codes.name, codes.shape, scale, "fp8", None, block[1], block)


def _block(said: Any) -> tuple[int, int]:
    """Rows and columns of an FP8 block, as a config says them."""
    match said:
        case [int() as high, int() as wide] if high > 0 and wide > 0:
            return high, wide
    raise UserError(f"the config's blocks are {str(said)[:40]!r}; rows and columns are wanted")


def _want_rank(entry: Entry, rank: int) -> None:
    if len(entry.shape) != rank:
        raise UserError(
            f"{entry.name} has shape {list(entry.shape)}; codes of its kind have {rank} dimensions"
        )


def _part(codes: Entry, index: Mapping[str, Entry], suffix: str) -> Entry:
    stem = codes.name.rpartition(".")[0]
    found = index.get(f"{stem}.{suffix}")
    if found is None:
        raise UserError(
            f"{codes.name} lacks its {suffix}: without it the codes mean nothing. Fetch it again"
        )
    return found


def _weights(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What compressed-tensors' config says of weights; all groups agree or the shapes refuse."""
    groups = section(config, "config_groups")
    for name in groups:
        return section(section(groups, name), "weights")
    return {}
