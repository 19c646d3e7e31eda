"""Which weights an export quantises and which it keeps, and what it will weigh.

Pure and quick: headers, the config and the format's patterns decide; no torch, no values. The
exporter follows the same plan that the page previews.

The carve-outs come from the config: in a mixture of experts the layers without experts
(``first_k_dense_replace``, ``mlp_only_layers``, ``decoder_sparse_step``) keep BF16 MLPs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from kos.weights.entries import TYPES
from kos.weights.formats.base import ExportFormat
from kos.weights.text import Checkpoint, Weight, kind_of

# Linears that read the same input. Engines fuse them, so their global scales must be one.
SHARING = (
    ("gate_proj", "up_proj"),
    ("q_proj", "k_proj", "v_proj"),
    ("q_a_proj", "kv_a_proj_with_mqa"),
    ("w1", "w3"),
)
LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
EMBEDDINGS = "*embed_tokens*"
EXPERT = re.compile(r"\.experts\.\d+\.")
FLOATS = frozenset(("F64", "F32", "F16", "BF16"))


class TextTensor(NamedTuple):
    """A weight of the text model: how it is stored now, and what it takes where it is kept.

    ``code`` is safetensors' name of the type of its values when read. ``num_alike`` of them
    are alike, in a calculation that lists one expert for all.
    """

    name: str
    code: str
    shape: tuple[int, ...]
    stored_bytes: int
    kept_bytes: int
    is_packed: bool = False
    num_alike: int = 1

    @property
    def num_weights(self) -> int:
        """Values of all that are alike."""
        return math.prod(self.shape) * self.num_alike


class Placement(NamedTuple):
    """Where a weight falls: quantised, or kept and ``why``."""

    tensor: TextTensor
    is_quantised: bool
    why: str
    bytes_after: int

    @property
    def layer(self) -> int | None:
        """Its layer's number; None outside the layers."""
        found = LAYER.search(self.tensor.name)
        return int(found[1]) if found else None


@dataclass
class Row:
    """A sort of weight, as a line of the preview; ``layers`` are those it is found in."""

    kind: str
    is_quantised: bool
    why: str
    num_tensors: int = 0
    num_weights: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    layers: set[int] = field(default_factory=set)

    @property
    def layer_ranges(self) -> str:
        """``0, 3-60``."""
        return ranges(sorted(self.layers))


@dataclass
class Preview:
    """What an export would hold: lines by sort, numbers by layer, sizes."""

    rows: list[Row]
    # (layer, weights quantised, weights kept, bytes before, bytes after); -1 is outside layers.
    layers: list[tuple[int, int, int, int, int]]
    bytes_before: int
    bytes_after: int
    bytes_bf16: int
    num_parameters: int

    @property
    def ratio(self) -> float:
        """Size in BF16 over size of the export."""
        return self.bytes_bf16 / self.bytes_after if self.bytes_after else 0.0

    def show(self) -> dict[str, Any]:
        """For a summary or a JSON answer."""
        return {
            "rows": [
                {
                    "kind": row.kind,
                    "quantised": row.is_quantised,
                    "why": row.why,
                    "num_tensors": row.num_tensors,
                    "num_weights": row.num_weights,
                    "bytes_before": row.bytes_before,
                    "bytes_after": row.bytes_after,
                    "layers": row.layer_ranges,
                }
                for row in self.rows
            ],
            "layers": [list(layer) for layer in self.layers],
            "bytes_before": self.bytes_before,
            "bytes_after": self.bytes_after,
            "bytes_bf16": self.bytes_bf16,
            "num_parameters": self.num_parameters,
            "ratio": round(self.ratio, 3),
        }


def preview(folder: Path, format: ExportFormat) -> Preview:
    """Which tensors of the model in ``folder`` fall where, and the sizes.

    Raises UserError when the folder is no model. Reads headers and config.json only.
    """
    model = Checkpoint(folder)
    return summarise(place(map(text_tensor, model.values()), model.config, format))


def text_tensor(weight: Weight) -> TextTensor:
    """A checkpoint's weight as the plan sees it."""
    return TextTensor(
        weight.name,
        weight.code,
        weight.shape,
        weight.stored_bytes,
        weight.written_bytes,
        weight.is_int4,
    )


def place(
    tensors: Iterable[TextTensor], config: Mapping[str, Any], format: ExportFormat
) -> list[Placement]:
    """Where every weight falls, in the order given."""
    dense = dense_layers(config) if format.keep_dense_layers else frozenset()
    # Experts of a layer fall alike unless a pattern tells them apart: one decision for all.
    is_plain = not any(re.search(r"experts\.\W*\w*\d", one) for one in _patterns(format))
    known: dict[tuple[Any, ...], tuple[str, int]] = {}
    placed = []
    for tensor in tensors:
        name = EXPERT.sub(".experts.0.", tensor.name) if is_plain else tensor.name
        key = (name, *tensor[1:])
        if key not in known:
            known[key] = _fate(tensor, format, dense)
        why, after = known[key]
        placed.append(Placement(tensor, not why, why, after))
    return placed


def _patterns(format: ExportFormat) -> tuple[str, ...]:
    return (*format.quantise, *format.keep)


def _fate(tensor: TextTensor, format: ExportFormat, dense: frozenset[int]) -> tuple[str, int]:
    """Why it is kept (empty: it is quantised), and the bytes it will take."""
    why = _why_kept(tensor, format, dense)
    if why:
        return why, tensor.kept_bytes
    parts = format.parts(tensor.name, tensor.shape).values()
    return "", sum(math.prod(part.shape) * TYPES[part.dtype][1] for part in parts)


def dense_layers(config: Mapping[str, Any]) -> frozenset[int]:
    """Layers of a mixture of experts that have none; empty for a dense model.

    Kimi K2.5 has one (``first_k_dense_replace`` 1); Qwen names them or says every how many
    layers are sparse.
    """
    num_layers = int(config.get("num_hidden_layers") or 0)
    experts = config.get("n_routed_experts") or config.get("num_experts")
    if not experts or not num_layers:
        return frozenset()
    first = int(config.get("first_k_dense_replace") or 0)
    every = int(config.get("decoder_sparse_step") or config.get("moe_layer_freq") or 1)
    named = set(config.get("mlp_only_layers") or ())
    # Qwen counts from one, DeepSeek from zero; both mean "all" by 1.
    start = 1 if config.get("decoder_sparse_step") else 0
    found = {
        layer
        for layer in range(num_layers)
        if layer < first or layer in named or (layer + start) % every
    }
    return frozenset(found)


def partners(name: str) -> list[str]:
    """The weights that must share ``name``'s global scale, itself among them."""
    module = name.removesuffix(".weight")
    parent, _, own = module.rpartition(".")
    for group in SHARING:
        if own in group:
            return [f"{parent}.{other}.weight" for other in group]
    return [name]


def _why_kept(tensor: TextTensor, format: ExportFormat, dense: frozenset[int]) -> str:
    """Why a weight stays in BF16; empty when it is quantised. ``keep`` wins over ``quantise``."""
    name = tensor.name
    if not name.endswith(".weight") or len(tensor.shape) != 2 or tensor.code not in FLOATS:
        return "no matrix"
    if fnmatchcase(name, EMBEDDINGS) and not format.takes_embeddings:
        return "embedding"
    if not any(_matches(name, pattern) for pattern in format.quantise):
        return "not named"
    for pattern in format.keep:
        if _matches(name, pattern):
            return f"kept by {pattern}"
    found = LAYER.search(name)
    if found and int(found[1]) in dense and ".mlp." in name:
        return "dense layer"
    return format.refusal(tensor.shape, is_packed=tensor.is_packed)


def _matches(name: str, pattern: str) -> bool:
    """Patterns are of modules; one that ends in a name matches its weight, too."""
    return fnmatchcase(name, pattern) or fnmatchcase(name.removesuffix(".weight"), pattern)


def summarise(placed: Iterable[Placement]) -> Preview:
    """Lines by sort, numbers by layer, sums."""
    rows: dict[tuple[str, bool, str], Row] = {}
    layers: dict[int, list[int]] = {}
    before = after = bf16 = parameters = 0
    for one in placed:
        tensor, weights = one.tensor, one.tensor.num_weights
        key = (kind_of(tensor.name), one.is_quantised, one.why)
        row = rows.setdefault(key, Row(*key))
        was, becomes = tensor.stored_bytes * tensor.num_alike, one.bytes_after * tensor.num_alike
        row.num_tensors += tensor.num_alike
        row.num_weights += weights
        row.bytes_before += was
        row.bytes_after += becomes
        layer = -1 if one.layer is None else one.layer
        if layer >= 0:
            row.layers.add(layer)
        counts = layers.setdefault(layer, [0, 0, 0, 0])
        counts[not one.is_quantised] += tensor.num_alike
        counts[2] += was
        counts[3] += becomes
        before += was
        after += becomes
        bf16 += tensor.kept_bytes * tensor.num_alike
        parameters += weights
    ordered = sorted(rows.values(), key=lambda row: (-row.is_quantised, -row.bytes_before))
    numbers = [(layer, c[0], c[1], c[2], c[3]) for layer, c in sorted(layers.items())]
    return Preview(ordered, numbers, before, after, bf16, parameters)


def ranges(numbers: list[int]) -> str:
    """Sorted numbers in words: ``0, 3-60``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
