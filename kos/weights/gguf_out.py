"""A GGUF file of a dense Llama or Qwen model, written one weight at a time and read back.

Names come from the ``gguf`` package's own map. Llama's query and key rows are reordered, since
llama.cpp rotates neighbouring channels where transformers rotates halves.
Source: llama.cpp, convert_hf_to_gguf.py (LlamaModel.permute); gguf 0.19.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from torch import Tensor
from transformers import AutoTokenizer

from kos.errors import UserError
from kos.weights import gguf_in, shards
from kos.weights.formats.gguf import Gguf
from kos.weights.quantised import Inventory, format_of
from kos.weights.shards import Spec
from kos.weights.stream import EXPORT, Meter, OnBytes, Work, speed
from kos.weights.text import kind_of

FILE = "model.gguf"
ARCHITECTURES = {
    "LlamaForCausalLM": gguf.MODEL_ARCH.LLAMA,
    "MistralForCausalLM": gguf.MODEL_ARCH.LLAMA,
    "Qwen2ForCausalLM": gguf.MODEL_ARCH.QWEN2,
    "Qwen3ForCausalLM": gguf.MODEL_ARCH.QWEN3,
}
FILE_TYPES = {"Q8_0": 7, "Q5_0": 8, "Q4_0": 2}
ROTATED = re.compile(r"\.self_attn\.([qk])_proj\.(weight|bias)$")
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4


def architecture(config: Mapping[str, Any]) -> gguf.MODEL_ARCH:
    """gguf's name of the model; raises UserError for one whose layout is not known here."""
    said = (config.get("architectures") or ["?"])[0]
    if said not in ARCHITECTURES:
        raise UserError(
            f"GGUF is written for {', '.join(sorted(ARCHITECTURES))}, and this is a {said}: choose "
            "another format, or convert the BF16 export with llama.cpp"
        )
    if (config.get("rope_scaling") or {}).get("rope_type", "default") not in ("default", "linear"):
        raise UserError("GGUF is written without this model's rope_scaling: choose another format")
    return ARCHITECTURES[said]


def write(work: Work, folder: Path, on_bytes: OnBytes) -> dict[str, Any]:
    """Write the file, config and tokenizer to ``folder``, whole or not at all."""
    assert isinstance(work.format, Gguf)
    began = time.monotonic()
    config = work.source.model.config
    arch = architecture(config)
    names = gguf.get_tensor_name_map(arch, config["num_hidden_layers"])
    folder.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(folder / f"{FILE}.part", gguf.MODEL_ARCH_NAMES[arch])
    _add_config(writer, config, work.format)
    _add_tokenizer(writer, work.source.model.folder, config)
    for one in work.placed:
        writer.add_tensor_info(_gguf_name(names, one.tensor.name), *_info(work, one))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    meter = Meter(work.total_bytes, on_bytes)
    for one in work.placed:
        writer.write_tensor_data(_values(work, one).numpy())
        meter.add(one.tensor.stored_bytes)
    writer.close()
    (folder / f"{FILE}.part").replace(folder / FILE)
    shards.write_json(folder / "config.json", config)
    shards.copy_companions(work.source.model.folder, folder)
    shapes = {one.tensor.name: list(one.tensor.shape) for one in work.placed if one.is_quantised}
    digest = {FILE: shards.sha256(folder / FILE)}
    said = {"format": work.format.model_dump(mode="json"), "quantised": shapes, "sha256": digest}
    shards.write_json(folder / EXPORT, said)
    return speed(1, work.total_bytes, time.monotonic() - began)


def _gguf_name(names: gguf.TensorNameMap, name: str) -> str:
    found: str | None = names.get_name(name, try_suffixes=(".weight", ".bias"))
    if found is None:
        raise UserError(f"GGUF has no name for {name}: choose another format")
    return found


def _info(work: Work, one: Any) -> tuple[Any, ...]:
    """Shape, dtype, bytes and type of a tensor, as the writer wants to know before its values."""
    assert isinstance(work.format, Gguf)
    name, shape = one.tensor.name, one.tensor.shape
    if one.is_quantised:
        part = work.format.parts(name, shape)[name]
        size = int(np.prod(part.shape))
        return part.shape, np.dtype(np.uint8), size, gguf.GGMLQuantizationType[work.format.type]
    size = int(np.prod(shape))
    if len(shape) == 1:
        return shape, np.dtype(np.float32), size * 4
    # Two bytes a value: the writer derives the shape in values from that of bytes.
    bytes_shape = (*shape[:-1], shape[-1] * 2)
    return bytes_shape, np.dtype(np.uint8), size * 2, gguf.GGMLQuantizationType.BF16


def _values(work: Work, one: Any) -> Tensor:
    """What is stored: blocks, float32 vectors, or BF16 as bytes; rows in llama.cpp's order."""
    name = one.tensor.name
    if one.is_quantised:
        target = work.source.target(name, seed=work.seed, is_apart=work.format.reads_change)
        made = work.format.encode(target)[name]
    elif len(one.tensor.shape) == 1:
        made = work.source.read(name).float()
    else:
        made = work.source.read(name).to(torch.bfloat16).view(torch.uint8)
    return _ordered(work.source.model.config, name, made).contiguous()


def _ordered(
    config: Mapping[str, Any], name: str, values: Tensor, *, back: bool = False
) -> Tensor:
    """Rows of Llama's queries and keys from halves to pairs, or ``back``."""
    found = ROTATED.search(name)
    if found is None or ARCHITECTURES[config["architectures"][0]] is not gguf.MODEL_ARCH.LLAMA:
        return values
    heads = config["num_attention_heads"]
    if found[1] == "k":
        heads = config.get("num_key_value_heads") or heads
    half = values.shape[0] // heads // 2
    first, second = (half, 2) if back else (2, half)
    shaped = values.reshape(heads, first, second, *values.shape[1:])
    return shaped.transpose(1, 2).reshape(values.shape)


def _add_config(writer: gguf.GGUFWriter, config: Mapping[str, Any], format: Gguf) -> None:
    heads = config["num_attention_heads"]
    size = config.get("head_dim") or config["hidden_size"] // heads
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    writer.add_name(str(config.get("model_type", "model")))
    writer.add_context_length(config.get("max_position_embeddings", 2048))
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_rope_dimension_count(size)
    writer.add_rope_freq_base(config.get("rope_theta") or rope.get("rope_theta", 10000.0))
    writer.add_layer_norm_rms_eps(config.get("rms_norm_eps", 1e-6))
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(FILE_TYPES[format.type])
    writer.add_quantization_version(2)


def _add_tokenizer(writer: gguf.GGUFWriter, folder: Path, config: Mapping[str, Any]) -> None:
    """Byte-level BPE, as Llama 3, SmolLM2 and Qwen have it; raises UserError for others."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    said = shards.read_json(folder / "tokenizer.json")
    model = said["model"]
    if model.get("type") != "BPE" or model.get("byte_fallback"):
        raise UserError(
            "GGUF is written for byte-level BPE tokenizers, and this is none: convert the BF16 "
            "export with llama.cpp"
        )
    special = {one["id"]: one["special"] for one in said.get("added_tokens", ())}
    tokens = {number: text for text, number in tokenizer.get_vocab().items()}
    count = config["vocab_size"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([tokens.get(number, f"[PAD{number}]") for number in range(count)])
    writer.add_token_types(
        [
            (CONTROL if special[number] else USER_DEFINED) if number in special else NORMAL
            for number in range(count)
        ]
    )
    merges = [one if isinstance(one, str) else " ".join(one) for one in model["merges"]]
    writer.add_token_merges(merges)
    for add, number in (
        (writer.add_bos_token_id, tokenizer.bos_token_id),
        (writer.add_eos_token_id, tokenizer.eos_token_id),
        (writer.add_pad_token_id, tokenizer.pad_token_id),
    ):
        if number is not None:
            add(number)
    writer.add_add_bos_token(False)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


class GgufFolder:
    """An exported GGUF file under the names transformers knows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        said = shards.read_json(folder / EXPORT)
        self.format = format_of(said["format"])
        self.config = shards.read_json(folder / "config.json")
        self.weights = {name: tuple(shape) for name, shape in said["quantised"].items()}
        names = gguf.get_tensor_name_map(
            architecture(self.config), self.config["num_hidden_layers"]
        )
        self._names = names
        self._tensors = gguf_in.tensors(folder / FILE)
        self.plain: dict[str, Spec] = {}

    def check(self, wanted: Iterable[str]) -> Inventory:
        """Refuse a file that lacks one of ``wanted``; the rest are the weights that are kept."""
        for name in wanted:
            if _gguf_name(self._names, name) not in self._tensors:
                raise UserError(f"the export lacks {name}")
            if name not in self.weights:
                shape = tuple(int(size) for size in reversed(self._tensor(name).shape))
                self.plain[name] = Spec(name, torch.bfloat16, shape)
        return Inventory(
            dict(sorted(Counter(map(kind_of, self.weights)).items())),
            dict(sorted(Counter(map(kind_of, self.plain)).items())),
            (self.folder / FILE).stat().st_size,
        )

    def _tensor(self, name: str) -> Any:
        return self._tensors[_gguf_name(self._names, name)]

    def read(self, name: str) -> dict[str, Tensor]:
        """The stored blocks, rows in transformers' order."""
        stored = torch.from_numpy(np.array(self._tensor(name).data))
        return {name: _ordered(self.config, name, stored, back=True)}

    def served(self, name: str) -> Tensor:
        """Any weight as a program computes with it, BF16."""
        if name in self.weights:
            return self.format.decode(name, self.read(name)).to(torch.bfloat16)
        one = self._tensor(name)
        values = torch.from_numpy(np.array(gguf.dequantize(one.data, one.tensor_type)))
        values = values.view(self.plain[name].shape).to(torch.bfloat16)
        return _ordered(self.config, name, values, back=True)
