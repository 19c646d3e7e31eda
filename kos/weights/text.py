"""The text model inside a checkpoint: plain names, plain weights, plain config.

Kimi K2.5 ships a vision tower, a ``language_model.`` prefix and packed INT4 experts.
``Checkpoint`` shows any such folder, or an ordinary BF16, FP16 or FP32 one, as the text model
that transformers loads: names as in ``AutoModelForCausalLM``'s files, weights unpacked when
read, a config of the text part alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kos.errors import UserError
from kos.weights import int4
from kos.weights.shards import Entry, Index, Spec, read_json

PREFIX = "language_model."
PACKED = ".weight_packed"
# Values in memory at a time, in float32 4 MB: temporaries of that size are used again by the
# allocator, larger ones cost a page fault for every 4 kB.
BLOCK = 1 << 20
# The router's bias decides between near-equal scores: BF16 would change the experts chosen.
KEEP_FP32 = re.compile(r"\.e_score_correction_bias$")
# Text models that have a class of their own in transformers.
TEXT_MODELS = {"kimi_k2": ("deepseek_v3", "DeepseekV3ForCausalLM")}


@dataclass(frozen=True)
class Weight:
    """One tensor of the text model: a plain one, or packed INT4 with its scales."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    stored: Entry
    scale: Entry | None = None

    @property
    def spec(self) -> Spec:
        """How it is written: BF16, but integers and the router's FP32 bias as they are."""
        is_kept = not self.dtype.is_floating_point or (
            self.dtype == torch.float32 and KEEP_FP32.search(self.name)
        )
        return Spec(self.name, self.dtype if is_kept else torch.bfloat16, self.shape)

    @property
    def stored_bytes(self) -> int:
        """Bytes it takes in the folder it comes from."""
        return self.stored.size_bytes + (self.scale.size_bytes if self.scale else 0)

    def read_rows(self, start: int, stop: int) -> Tensor:
        """Rows ``[start, stop)``; float32 when they were packed, else in the stored dtype."""
        rows = self.stored.read_rows(start, stop)
        if self.scale is None:
            return rows
        return int4.dequantise(rows, self.scale.read_rows(start, stop), self.shape[1])

    def read(self) -> Tensor:
        """The whole tensor."""
        return self.read_rows(0, self.shape[0] if self.shape else 1)

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Row ranges of at most ``BLOCK`` values, from first to last."""
        num_rows = self.shape[0] if self.shape else 1
        step = max(1, BLOCK // max(1, math.prod(self.shape[1:])))
        for start in range(0, num_rows, step):
            yield start, min(start + step, num_rows)


class Checkpoint(Mapping[str, Weight]):
    """The text model of a Hugging Face folder, by the names transformers knows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index = Index(folder)
        source = read_json(folder / "config.json")
        _check_format(folder, source)
        self.config = text_config(source)
        self.is_tied = bool(self.config.get("tie_word_embeddings"))
        is_wrapped = any(name.startswith(PREFIX) for name in self.index)
        self._weights: dict[str, Weight] = {}
        self.dropped: list[Entry] = []
        for name, entry in self.index.items():
            self._place(name, entry, is_wrapped=is_wrapped)

    def _place(self, name: str, entry: Entry, *, is_wrapped: bool) -> None:
        plain = name.removeprefix(PREFIX)
        is_part = name.endswith((".weight_scale", ".weight_shape"))
        if is_part and f"{name.rsplit('.', 1)[0]}{PACKED}" in self.index:
            return
        is_double = self.is_tied and plain == "lm_head.weight"
        if is_double or (is_wrapped and plain == name):
            self.dropped.append(entry)
        elif name.endswith(PACKED):
            plain = plain.removesuffix(PACKED) + ".weight"
            self._weights[plain] = self._unpacked(plain, entry)
        else:
            self._weights[plain] = Weight(plain, entry.shape, entry.dtype, entry)

    def _unpacked(self, plain: str, packed: Entry) -> Weight:
        stem = packed.name.removesuffix(PACKED)
        scale, shape = (
            self.index.get(f"{stem}.weight_scale"),
            self.index.get(f"{stem}.weight_shape"),
        )
        if scale is None or shape is None:
            raise UserError(
                f"{packed.name} lacks its weight_scale or weight_shape: fetch it again"
            )
        rows, columns = (int(size) for size in shape.read())
        if scale.shape != (rows, columns // int4.GROUP):
            raise UserError(
                f"{scale.name} has shape {scale.shape}; groups of {int4.GROUP} need "
                f"{(rows, columns // int4.GROUP)}"
            )
        return Weight(plain, (rows, columns), torch.float32, packed, scale)

    def __getitem__(self, name: str) -> Weight:
        return self._weights[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)

    @property
    def num_packed(self) -> int:
        """Weights that were packed INT4."""
        return sum(weight.scale is not None for weight in self.values())


def text_config(source: Mapping[str, Any]) -> dict[str, Any]:
    """The config of the text part, otherwise word for word as in the source.

    Not rewritten by transformers: its DeepSeek-V3 class drops ``topk_method`` and
    ``scoring_func``, without which vLLM does not load the router's bias.
    """
    config = dict(source.get("text_config", source))
    for key in ("bos_token_id", "eos_token_id", "pad_token_id", "tie_word_embeddings"):
        if key not in config and key in source:
            config[key] = source[key]
    for key in ("quantization_config", "auto_map", "torch_dtype", "_name_or_path"):
        config.pop(key, None)
    config["dtype"] = "bfloat16"
    model_type = config.get("model_type")
    if model_type in TEXT_MODELS:
        config["model_type"], architecture = TEXT_MODELS[model_type]
        config["architectures"] = [architecture]
        config["num_nextn_predict_layers"] = 0
    elif "text_config" in source:
        raise UserError(
            f"the text part of a {source.get('model_type')} checkpoint is a {model_type}; known "
            f"ones are {', '.join(TEXT_MODELS)}"
        )
    return config


def kind_of(name: str) -> str:
    """A weight's sort, without layer and expert numbers: ``mlp.experts.gate_proj``."""
    short = re.sub(r"^(model\.)?(layers\.\d+\.)?|\.weight$", "", name)
    return re.sub(r"\.\d+(?=\.)", "", short)


def _check_format(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse a folder that is quantised otherwise than packed INT4 in groups of 32."""
    found = (config.get("text_config") or config).get("quantization_config")
    found = found or config.get("quantization_config")
    if not found:
        return
    groups = [group.get("weights") or {} for group in found.get("config_groups", {}).values()]
    is_int4 = found.get("format") == "pack-quantized" and all(
        (group.get("num_bits"), group.get("group_size")) == (4, int4.GROUP) for group in groups
    )
    if not is_int4:
        said = found.get("quant_algo") or found.get("format") or found.get("quant_method")
        raise UserError(
            f"{folder.name} is quantised as {said}; BF16, FP16, FP32 or packed INT4 in groups of "
            f"{int4.GROUP} can be read"
        )
