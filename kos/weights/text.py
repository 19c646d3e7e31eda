"""The text model inside a checkpoint: plain names, plain weights, plain config.

Kimi K2.5 ships a vision tower, a ``language_model.`` prefix and packed INT4 experts.
``Checkpoint`` shows any such folder, or an ordinary BF16, FP16 or FP32 one, as the text model
that transformers loads: names as in ``AutoModelForCausalLM``'s files, weights unpacked when
read, a config of the text part alone. Quantised folders are known by their tensors (``coding``);
torch is loaded when values are read, not before.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kos.errors import UserError
from kos.weights import names
from kos.weights.coding import PARTS, Coded, coded, quantisation, section
from kos.weights.entries import TYPES, Entry, Index, read_json
from kos.weights.names import PREFIX

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from kos.weights.shards import Spec

# Values in memory at a time, in float32 4 MB: temporaries of that size are used again by the
# allocator, larger ones cost a page fault for every 4 kB.
BLOCK = 1 << 20
# The router's bias decides between near-equal scores: BF16 would change the experts chosen. The
# decay of linear attention is exponentiated twice.
KEEP_FP32 = re.compile(r"\.e_score_correction_bias$|\.A_log$")
# Text models that have a class of their own in transformers.
TEXT_MODELS = {"kimi_k2": ("deepseek_v3", "DeepseekV3ForCausalLM")}


@dataclass(frozen=True)
class Weight:
    """One tensor of the text model: a plain one, or a quantised one with its scales.

    ``code`` is the type of its values when read ("F32" when it was quantised). ``scale`` belongs
    to groups or blocks, ``whole_scale`` to all of it; ``group`` is the columns that share a scale
    in INT4, ``block`` the rows and columns in FP8.
    """

    name: str
    shape: tuple[int, ...]
    code: str
    stored: Entry
    scale: Entry | None = None
    coding: str = "plain"
    whole_scale: Entry | None = None
    group: int = 32
    block: tuple[int, int] | None = None

    @property
    def dtype(self) -> torch.dtype:
        """Type of its values when read."""
        import torch  # see the module

        found: torch.dtype = getattr(torch, TYPES[self.code][0])
        return found

    @property
    def is_int4(self) -> bool:
        """Whether it is packed INT4 in groups of 32 with BF16 scales, as Kimi K2's experts."""
        return (
            self.coding == "int4"
            and self.group == 32
            and self.scale is not None
            and self.scale.code == "BF16"
        )

    @property
    def written_code(self) -> str:
        """How it is written: BF16, but integers and what needs FP32 as they are."""
        is_float = self.code[0] == "F" or self.code == "BF16"
        is_full = self.code == "F32" and KEEP_FP32.search(self.name)
        return self.code if not is_float or is_full else "BF16"

    @property
    def written_bytes(self) -> int:
        """Bytes it takes as ``written_code``."""
        return math.prod(self.shape) * TYPES[self.written_code][1]

    @property
    def spec(self) -> Spec:
        """How it is written, for ``shards``."""
        from kos.weights.shards import DTYPES, Spec  # see the module

        return Spec(self.name, DTYPES[self.written_code], self.shape)

    @property
    def stored_bytes(self) -> int:
        """Bytes it takes in the folder it comes from."""
        parts = (self.stored, self.scale, self.whole_scale)
        return sum(part.size_bytes for part in parts if part is not None)

    def read_rows(self, start: int, stop: int) -> Tensor:
        """Rows ``[start, stop)``; float32 when they were quantised, else in the stored dtype."""
        from kos.weights import stored  # see the module

        return stored.read_rows(self, start, stop)

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
        self.quantisation = quantisation(folder, source)
        self.config = text_config(source)
        self.is_tied = bool(self.config.get("tie_word_embeddings"))
        self._is_wrapped = any(name.startswith(PREFIX) for name in self.index)
        self._weights: dict[str, Weight] = {}
        self.dropped: list[Entry] = []
        for name, entry in self.index.items():
            self._place(name, entry)
        if self.config.get("model_type") in names.PER_EXPERT:
            self._take_experts_apart()

    def _place(self, name: str, entry: Entry) -> None:
        plain = names.plain(name)
        is_double = self.is_tied and plain == "lm_head.weight"
        if is_double or (self._is_wrapped and plain == name):
            self.dropped.append(entry)
            return
        found = coded(entry, self.index, self.quantisation)
        if found is None:
            self._weights[plain] = Weight(plain, entry.shape, entry.code, entry)
        elif isinstance(found, Coded):
            plain = names.plain(found.name)
            self._weights[plain] = Weight(plain, found.shape, "F32", entry, *found[2:])
        elif found not in PARTS:
            self.dropped.append(entry)

    def _take_experts_apart(self) -> None:
        """Fused experts as a weight each, in the place of the fused ones."""
        shapes = {name: weight.shape for name, weight in self.items()}
        parts: dict[str, list[Weight]] = {}
        for view in names.views(shapes, {}):
            whole = self[view.whole]
            if whole.coding == "plain":
                entry = whole.stored.part(view.name, view.runs[0].first, view.shape)
                weight = Weight(view.name, view.shape, whole.code, entry)
                parts.setdefault(view.whole, []).append(weight)
        self._weights = {
            weight.name: weight
            for name, fused in self._weights.items()
            for weight in parts.get(name, [fused])
        }

    def __getitem__(self, name: str) -> Weight:
        return self._weights[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)

    @property
    def num_packed(self) -> int:
        """Weights that were stored quantised."""
        return sum(weight.coding != "plain" for weight in self.values())

    @property
    def format(self) -> Literal["plain", "int4", "nvfp4", "mxfp4", "fp8", "mixed"]:
        """The sort of its quantised weights."""
        short = {"nvfp4_divided": "nvfp4", "gpt_oss": "mxfp4"}
        found = {short.get(one.coding, one.coding) for one in self.values()} - {"plain"}
        return found.pop() if len(found) == 1 else ("mixed" if found else "plain")  # type: ignore[return-value]


def text_config(source: Mapping[str, Any]) -> dict[str, Any]:
    """The config of the text part, otherwise word for word as in the source.

    Not rewritten by transformers: its DeepSeek-V3 class drops ``topk_method`` and
    ``scoring_func``, without which vLLM does not load the router's bias.
    """
    config = dict(section(source, "text_config") if "text_config" in source else source)
    for key in ("bos_token_id", "eos_token_id", "pad_token_id", "tie_word_embeddings"):
        if key not in config and key in source:
            config[key] = source[key]
    for key in ("quantization_config", "auto_map", "torch_dtype", "_name_or_path"):
        config.pop(key, None)
    config["dtype"] = "bfloat16"
    model_type = config.get("model_type")
    if not isinstance(model_type, str | None):
        raise UserError(f"the config's model_type is {str(model_type)[:40]!r}, which is no word")
    if model_type in TEXT_MODELS:
        config["model_type"], architecture = TEXT_MODELS[model_type]
        config["architectures"] = [architecture]
        config["num_nextn_predict_layers"] = 0
    elif "text_config" in source and model_type != "deepseek_v3":
        raise UserError(
            f"the text part of a {source.get('model_type')} checkpoint is a {model_type}; known "
            f"ones are deepseek_v3, {', '.join(TEXT_MODELS)}"
        )
    return config


def kind_of(name: str) -> str:
    """A weight's sort, without layer and expert numbers: ``mlp.experts.gate_proj``."""
    short = re.sub(r"^(model\.)?(layers\.\d+\.)?|\.weight$", "", name)
    return re.sub(r"\.\d+(?=\.)", "", short)
