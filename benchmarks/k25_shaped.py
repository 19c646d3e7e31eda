"""A checkpoint with Kimi K2.5's true matrix shapes, as many layers and experts as asked for.

Random weights with the published statistics (mean |w| 1.40e-2, mean |delta| about 4.2e-5), the
routed experts packed by compressed-tensors' convention, names and config as released, and a
rank-44 adapter on all linears as Tinker writes it. The same bytes on every call.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from kos.weights import int4, k2_tiny
from kos.weights.names import PREFIX
from kos.weights.shards import Spec, shard_name, write_index, write_json, write_shard

HIDDEN, EXPERT, DENSE, HEADS = 7168, 2048, 18432, 64
Q_LORA, KV_LORA, NOPE, ROPE, VALUE = 1536, 512, 128, 64, 128
RANK, ALPHA = 44, 44
DEVIATION = 1.755e-2
SHARD_BYTES = 1e9
ATTENTION = {
    "q_a_proj": (Q_LORA, HIDDEN),
    "q_b_proj": (HEADS * (NOPE + ROPE), Q_LORA),
    "kv_a_proj_with_mqa": (KV_LORA + ROPE, HIDDEN),
    "kv_b_proj": (HEADS * (NOPE + VALUE), KV_LORA),
    "o_proj": (HIDDEN, HEADS * VALUE),
}


def mlp(size: int) -> dict[str, tuple[int, int]]:
    return {
        "gate_proj": (size, HIDDEN),
        "up_proj": (size, HIDDEN),
        "down_proj": (HIDDEN, size),
    }


def write(folder: Path, *, layers: int, experts: int, vocab: int) -> None:
    """Base in ``folder/base`` (layer 0 dense), adapter in ``folder/adapter``."""
    base = folder / "base"
    k2_tiny.build_tokenizer().save_pretrained(base)
    write_json(base / "config.json", config(layers, experts, vocab))
    files: dict[str, list[Spec]] = {}
    held: dict[str, Tensor] = {}

    def flush() -> None:
        name = f"part-{len(files)}.safetensors"
        files[name] = [Spec(key, value.dtype, tuple(value.shape)) for key, value in held.items()]
        write_shard(base / name, files[name], lambda spec: [held[spec.name]])
        held.clear()

    for name, tensor in tensors_of(layers, experts, vocab):
        size = sum(value.nbytes for value in held.values()) + tensor.nbytes
        # Codes, scale and shape of a matrix stay in one file: the cookbook needs it so.
        if size > SHARD_BYTES and not name.endswith(("weight_scale", "weight_shape")):
            flush()
        held[name] = tensor
    flush()
    named = {}
    for number, (old, specs) in enumerate(files.items(), start=1):
        new = shard_name(number, len(files))
        (base / old).rename(base / new)
        named[new] = specs
    write_index(base, named)
    write_adapter(folder / "adapter", layers=layers, experts=experts, vocab=vocab)


class Pool:
    """Normal values, made once and read from another place for every tensor."""

    def __init__(self, seed: int, count: int, deviation: float) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.values = (torch.randn(count, generator=generator) * deviation).to(torch.bfloat16)
        self.begin = 0

    def __call__(self, *shape: int) -> Tensor:
        size = 1
        for length in shape:
            size *= length
        self.begin = (self.begin + 7919) % (len(self.values) // 2)
        repeats = -(-(self.begin + size) // len(self.values))
        values = self.values.repeat(repeats) if repeats > 1 else self.values
        return values[self.begin : self.begin + size].reshape(shape).clone()


def tensors_of(layers: int, experts: int, vocab: int) -> Iterator[tuple[str, Tensor]]:
    draw = Pool(0, 1 << 25, DEVIATION)
    yield "vision_tower.patch_embed.proj.weight", draw(64, 3, 14, 14)
    yield f"{PREFIX}model.embed_tokens.weight", draw(vocab, HIDDEN)
    # Quantised once; every expert is the same matrix with its rows moved.
    packed = {shape: int4.quantise(draw(*shape)) for shape in set(mlp(EXPERT).values())}
    for layer in range(layers):
        stem = f"{PREFIX}model.layers.{layer}."
        for name, shape in ATTENTION.items():
            yield f"{stem}self_attn.{name}.weight", draw(*shape)
        for name, size in (("q_a_layernorm", Q_LORA), ("kv_a_layernorm", KV_LORA)):
            yield f"{stem}self_attn.{name}.weight", torch.ones(size, dtype=torch.bfloat16)
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"{stem}{name}.weight", torch.ones(HIDDEN, dtype=torch.bfloat16)
        module = "mlp" if layer == 0 else "mlp.shared_experts"
        for name, shape in mlp(DENSE if layer == 0 else EXPERT).items():
            yield f"{stem}{module}.{name}.weight", draw(*shape)
        if layer == 0:
            continue
        yield f"{stem}mlp.gate.weight", draw(experts, HIDDEN)
        yield f"{stem}mlp.gate.e_score_correction_bias", draw(experts).float()
        for expert in range(experts):
            for name, shape in mlp(EXPERT).items():
                codes, scale = (part.roll(expert * 13 + layer, 0) for part in packed[shape])
                key = f"{stem}mlp.experts.{expert}.{name}"
                yield f"{key}.weight_packed", codes
                yield f"{key}.weight_scale", scale
                yield f"{key}.weight_shape", torch.tensor(shape, dtype=torch.int32)
    yield f"{PREFIX}model.norm.weight", torch.ones(HIDDEN, dtype=torch.bfloat16)
    yield f"{PREFIX}lm_head.weight", draw(vocab, HIDDEN)


def write_adapter(folder: Path, *, layers: int, experts: int, vocab: int) -> None:
    """Tinker's layout: an expert's outer side is shared by all of a layer."""
    small, unit = Pool(1, 1 << 22, 1.1e-4), Pool(2, 1 << 22, 0.06)
    tensors: dict[str, Tensor] = {}

    def add(module: str, rows: int, columns: int) -> None:
        stem = f"base_model.model.{module}"
        tensors[f"{stem}.lora_A.weight"] = unit(RANK, columns)
        tensors[f"{stem}.lora_B.weight"] = small(rows, RANK)

    for layer in range(layers):
        stem = f"model.layers.{layer}."
        for name, shape in ATTENTION.items():
            add(f"{stem}self_attn.{name}", *shape)
        module = "mlp" if layer == 0 else "mlp.shared_experts"
        for name, shape in mlp(DENSE if layer == 0 else EXPERT).items():
            add(f"{stem}{module}.{name}", *shape)
        if layer == 0:
            continue
        for name in ("w1", "w3"):
            key = f"base_model.model.{stem}mlp.experts.{name}"
            tensors[f"{key}.lora_A.weight"] = unit(1, RANK, HIDDEN)
            tensors[f"{key}.lora_B.weight"] = small(experts, EXPERT, RANK)
        key = f"base_model.model.{stem}mlp.experts.w2"
        tensors[f"{key}.lora_A.weight"] = unit(experts, RANK, EXPERT)
        tensors[f"{key}.lora_B.weight"] = small(1, HIDDEN, RANK)
    add("model.unembed_tokens", vocab, HIDDEN)
    specs = [Spec(key, value.dtype, tuple(value.shape)) for key, value in tensors.items()]
    file = folder / "adapter_model.safetensors"
    write_shard(file, specs, lambda spec: [tensors[spec.name]])
    write_json(folder / "adapter_config.json", {"r": RANK, "lora_alpha": ALPHA})


def config(layers: int, experts: int, vocab: int) -> dict[str, object]:
    weights = {
        "num_bits": 4,
        "type": "int",
        "symmetric": True,
        "strategy": "group",
        "group_size": 32,
    }
    text = {
        "architectures": ["DeepseekV3ForCausalLM"],
        "model_type": "kimi_k2",
        "vocab_size": vocab,
        "hidden_size": HIDDEN,
        "num_hidden_layers": layers,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "q_lora_rank": Q_LORA,
        "kv_lora_rank": KV_LORA,
        "qk_nope_head_dim": NOPE,
        "qk_rope_head_dim": ROPE,
        "v_head_dim": VALUE,
        "intermediate_size": DENSE,
        "moe_intermediate_size": EXPERT,
        "n_routed_experts": experts,
        "first_k_dense_replace": 1,
        "quantization_config": {
            "quant_method": "compressed-tensors",
            "format": "pack-quantized",
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
            "ignore": ["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*"],
        },
    }
    return {
        "architectures": ["KimiK25ForConditionalGeneration"],
        "model_type": "kimi_k25",
        "tie_word_embeddings": False,
        "text_config": text,
    }
