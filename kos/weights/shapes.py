"""The weights a config implies: names, shapes and bytes, without a file of the model.

One expert of a layer stands for all of them. Known are latent and grouped-query attention, dense
and routed gated MLPs: Kimi K2, DeepSeek-V3, Llama, Mistral, Qwen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from kos.errors import UserError
from kos.weights.plan_export import TextTensor

# Kimi K2.5's text model, as its released config.json has it.
KIMI_K25: dict[str, Any] = {
    "architectures": ["DeepseekV3ForCausalLM"],
    "model_type": "kimi_k2",
    "hidden_size": 7168,
    "num_hidden_layers": 61,
    "first_k_dense_replace": 1,
    "moe_layer_freq": 1,
    "intermediate_size": 18432,
    "num_attention_heads": 64,
    "num_key_value_heads": 64,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "n_routed_experts": 384,
    "num_experts_per_tok": 8,
    "n_shared_experts": 1,
    "moe_intermediate_size": 2048,
    "vocab_size": 163840,
    "tie_word_embeddings": False,
}


class Parameters(NamedTuple):
    """Weights in all, and those that one token is multiplied with."""

    total: int
    active: int


def tensors(config: Mapping[str, Any], *, packed: bool) -> Iterator[TextTensor]:
    """Every weight the config implies, with the bytes it takes as released."""
    hidden, vocab = int(config["hidden_size"]), int(config["vocab_size"])
    yield _plain("model.embed_tokens.weight", vocab, hidden)
    for layer in range(int(config["num_hidden_layers"])):
        prefix = f"model.layers.{layer}."
        yield _plain(f"{prefix}input_layernorm.weight", hidden)
        yield _plain(f"{prefix}post_attention_layernorm.weight", hidden)
        for name, *shape in _attention(config):
            yield _plain(f"{prefix}self_attn.{name}.weight", *shape)
        yield from _mlp(config, layer, prefix, packed=packed)
    yield _plain("model.norm.weight", hidden)
    if not config.get("tie_word_embeddings"):
        yield _plain("lm_head.weight", vocab, hidden)


def _attention(config: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Multi-head latent attention (DeepSeek-V3), or grouped queries (Llama)."""
    hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    if config.get("kv_lora_rank"):
        rank_q, rank_kv = int(config.get("q_lora_rank") or 0), int(config["kv_lora_rank"])
        nope, rope = int(config["qk_nope_head_dim"]), int(config["qk_rope_head_dim"])
        value = int(config["v_head_dim"])
        if rank_q:
            yield "q_a_proj", rank_q, hidden
            yield "q_a_layernorm", rank_q
        yield ("q_b_proj" if rank_q else "q_proj"), heads * (nope + rope), rank_q or hidden
        yield "kv_a_proj_with_mqa", rank_kv + rope, hidden
        yield "kv_a_layernorm", rank_kv
        yield "kv_b_proj", heads * (nope + value), rank_kv
        yield "o_proj", hidden, heads * value
        return
    if config.get("linear_num_key_heads"):
        raise UserError("layers of linear attention are not known to this calculation")
    size = int(config.get("head_dim") or hidden // heads)
    keys = int(config.get("num_key_value_heads") or heads)
    yield "q_proj", heads * size, hidden
    yield "k_proj", keys * size, hidden
    yield "v_proj", keys * size, hidden
    yield "o_proj", hidden, heads * size


def _mlp(
    config: Mapping[str, Any], layer: int, prefix: str, *, packed: bool
) -> Iterator[TextTensor]:
    from_layer = int(config.get("first_k_dense_replace") or 0)
    experts = int(config.get("n_routed_experts") or config.get("num_experts") or 0)
    if not experts or layer < from_layer:
        yield from _gated(config, f"{prefix}mlp", int(config["intermediate_size"]))
        return
    width, hidden = int(config["moe_intermediate_size"]), int(config["hidden_size"])
    yield _plain(f"{prefix}mlp.gate.weight", experts, hidden)
    if config.get("n_routed_experts"):
        bias = f"{prefix}mlp.gate.e_score_correction_bias"
        yield TextTensor(bias, "F32", (experts,), experts * 4, experts * 4)
    shared = int(config.get("n_shared_experts") or 0)
    if shared:
        yield from _gated(config, f"{prefix}mlp.shared_experts", width * shared)
    for one in _gated(config, f"{prefix}mlp.experts.0", width, packed=packed):
        yield one._replace(num_alike=experts)


def _gated(
    config: Mapping[str, Any], stem: str, width: int, *, packed: bool = False
) -> Iterator[TextTensor]:
    hidden = int(config["hidden_size"])
    make = _packed if packed else _plain
    yield make(f"{stem}.gate_proj.weight", width, hidden)
    yield make(f"{stem}.up_proj.weight", width, hidden)
    yield make(f"{stem}.down_proj.weight", hidden, width)


def _plain(name: str, *shape: int) -> TextTensor:
    return TextTensor(name, "BF16", shape, math.prod(shape) * 2, math.prod(shape) * 2)


def _packed(name: str, rows: int, columns: int) -> TextTensor:
    """INT4 codes, a BF16 scale for 32 of them, and the shape."""
    stored = rows * columns // 2 + rows * columns // 32 * 2 + 8
    return TextTensor(name, "F32", (rows, columns), stored, rows * columns * 2, is_packed=True)


def active(config: Mapping[str, Any], weights: Sequence[TextTensor]) -> int:
    """Weights one token is multiplied with: its experts; of the embedding, its row is looked up.

    The embedding table itself is counted, as reports of active parameters do.
    """
    experts = int(config.get("n_routed_experts") or config.get("num_experts") or 0)
    routed = sum(one.num_weights for one in weights if ".mlp.experts." in one.name)
    rest = sum(one.num_weights for one in weights) - routed
    chosen = int(config.get("num_experts_per_tok") or 0)
    return rest + (routed * chosen // experts if experts else 0)


def kv_bytes_per_token(config: Mapping[str, Any]) -> int:
    """BF16 cache of one token over all layers: the latent and its rope, or keys and values."""
    layers = int(config["num_hidden_layers"])
    if config.get("kv_lora_rank"):
        return layers * (int(config["kv_lora_rank"]) + int(config["qk_rope_head_dim"])) * 2
    heads = int(config["num_attention_heads"])
    size = int(config.get("head_dim") or int(config["hidden_size"]) // heads)
    return layers * int(config.get("num_key_value_heads") or heads) * size * 2 * 2
