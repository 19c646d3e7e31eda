"""k2-tiny: a million random parameters in Kimi K2.5's true shape, for tests of the weights path.

The folder looks like K2.5's: config nested under ``text_config``, ``language_model.`` names,
routed experts as packed INT4, dummy vision and projector tensors, three shards. Same bytes on
every call.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from kos.chat.template import SYSTEM_PROMPT
from kos.weights import int4
from kos.weights.names import PREFIX
from kos.weights.shards import Spec, shard_name, write_index, write_json, write_shard

VOCAB, HIDDEN, LAYERS, HEADS = 512, 128, 4, 4
Q_LORA, KV_LORA, NOPE, ROPE, VALUE = 64, 32, 24, 8, 16
DENSE, EXPERT, EXPERTS = 256, 64, 8
# In the order of Kimi's vocabulary, which ends with them; found by name, never by number.
SPECIALS = (
    *("[BOS]", "[EOS]", "<|im_end|>", "<|im_user|>", "<|im_assistant|>"),
    *("<|start_header_id|>", "<|end_header_id|>", "[EOT]", "<|im_system|>"),
    *("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "<|tool_call_begin|>"),
    *("<|tool_call_argument_begin|>", "<|tool_call_end|>", "<|im_middle|>"),
    *("<|media_begin|>", "<|media_content|>", "<|media_end|>", "<|media_pad|>"),
    *("<think>", "</think>", "[UNK]", "[PAD]"),
)
ROLES = {"bos": "[BOS]", "eos": "<|im_end|>", "pad": "[PAD]", "unk": "[UNK]"}
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_{{ message.role if message.role in ('user', 'assistant') else 'system' }}|>"
    "{{ message.role }}<|im_middle|>"
    "{{ message.content }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_assistant|>assistant<|im_middle|>{% endif %}"
)
# Enough plain clinical English for the merges of a 512-word vocabulary.
TEXT = (
    SYSTEM_PROMPT,
    "The patient has chest pain and shortness of breath: call an ambulance now.",
    "Check blood pressure, heart rate, temperature and oxygen saturation before the next dose.",
    "Start with 500 mg twice a day and review renal function within one week.",
    "There is no fever, no rash and no recent travel; the symptoms began three days ago.",
    "What should we do next for a child with a sore throat and difficulty swallowing?",
    "The treatment depends on the cause, the severity and the other medicines the patient takes.",
    "Write a short discharge letter for a woman of 64 with pneumonia who is improving.",
    "Evidence from randomised trials shows a small benefit with more bleeding in older people.",
    "I am not sure about the interaction, so please check with a pharmacist or the label.",
)


def write(folder: Path) -> dict[str, object]:
    """Write config, tokenizer and three shards to ``folder``; return what to show of them."""
    tokenizer = build_tokenizer()
    tokenizer.save_pretrained(folder)
    write_json(folder / "config.json", _config(tokenizer))
    shards: dict[str, list[Spec]] = {}
    for number, tensors in enumerate(_shards(), start=1):
        name = shard_name(number, 3)
        shards[name] = [
            Spec(key, value.dtype, tuple(value.shape)) for key, value in tensors.items()
        ]
        write_shard(folder / name, shards[name], partial(_whole, tensors))
    write_index(folder, shards)
    sizes = [spec.size_bytes for specs in shards.values() for spec in specs]
    return {
        "model": "k2-tiny",
        "num_parameters": 1_036_800,
        "num_tensors": len(sizes),
        "size_bytes": sum(sizes),
        "format": "INT4 experts (pack-quantized), rest BF16, with a dummy vision tower",
        "licence": "Apache-2.0, random weights",
    }


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE of 512 entries, trained on ``TEXT``; the last ones are Kimi's specials."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB - len(SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.add_special_tokens(list(SPECIALS))
    assert tokenizer.get_vocab_size() == VOCAB
    roles: dict[str, Any] = {f"{role}_token": name for role, name in ROLES.items()}
    made: Any = PreTrainedTokenizerFast
    return made(  # type: ignore[no-any-return]
        tokenizer_object=tokenizer,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        **roles,
    )


def _whole(tensors: dict[str, Tensor], spec: Spec) -> list[Tensor]:
    return [tensors[spec.name]]


def _shards() -> Iterator[dict[str, Tensor]]:
    draw = _Normal(seed=0)
    first = {
        "vision_tower.patch_embed.proj.weight": draw(64, 3, 14, 14),
        "vision_tower.encoder.blocks.0.wqkv.weight": draw(192, 64),
        "mm_projector.proj.0.weight": draw(64, 256),
        f"{PREFIX}model.embed_tokens.weight": draw(VOCAB, HIDDEN),
    }
    yield first | _layer(0, draw)
    yield _layer(1, draw) | _layer(2, draw)
    last = {
        f"{PREFIX}model.norm.weight": _ones(HIDDEN),
        f"{PREFIX}lm_head.weight": draw(VOCAB, HIDDEN),
    }
    yield _layer(3, draw) | last


class _Normal:
    """BF16 tensors of the deviation DeepSeek-V3 starts from, one seeded stream."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, *shape: int) -> Tensor:
        values = torch.randn(*shape, generator=self.generator) * 0.02
        return values.to(torch.bfloat16)


def _ones(size: int) -> Tensor:
    return torch.ones(size, dtype=torch.bfloat16)


def _layer(number: int, draw: _Normal) -> dict[str, Tensor]:
    shapes = {
        "self_attn.q_a_proj": (Q_LORA, HIDDEN),
        "self_attn.q_b_proj": (HEADS * (NOPE + ROPE), Q_LORA),
        "self_attn.kv_a_proj_with_mqa": (KV_LORA + ROPE, HIDDEN),
        "self_attn.kv_b_proj": (HEADS * (NOPE + VALUE), KV_LORA),
        "self_attn.o_proj": (HIDDEN, HEADS * VALUE),
    }
    shapes |= _mlp("mlp", DENSE) if number == 0 else _mlp("mlp.shared_experts", EXPERT)
    tensors = {f"{module}.weight": draw(*shape) for module, shape in shapes.items()}
    tensors |= {
        "self_attn.q_a_layernorm.weight": _ones(Q_LORA),
        "self_attn.kv_a_layernorm.weight": _ones(KV_LORA),
        "input_layernorm.weight": _ones(HIDDEN),
        "post_attention_layernorm.weight": _ones(HIDDEN),
    }
    if number > 0:
        tensors |= _experts(draw)
    return {f"{PREFIX}model.layers.{number}.{name}": value for name, value in tensors.items()}


def _experts(draw: _Normal) -> dict[str, Tensor]:
    tensors = {
        "mlp.gate.weight": draw(EXPERTS, HIDDEN),
        "mlp.gate.e_score_correction_bias": draw(EXPERTS).float(),
    }
    for expert in range(EXPERTS):
        for module, shape in _mlp(f"mlp.experts.{expert}", EXPERT).items():
            packed, scale = int4.quantise(draw(*shape))
            tensors[f"{module}.weight_packed"] = packed
            tensors[f"{module}.weight_scale"] = scale
            tensors[f"{module}.weight_shape"] = torch.tensor(shape, dtype=torch.int32)
    return tensors


def _mlp(module: str, size: int) -> dict[str, tuple[int, int]]:
    return {
        f"{module}.gate_proj": (size, HIDDEN),
        f"{module}.up_proj": (size, HIDDEN),
        f"{module}.down_proj": (HIDDEN, size),
    }


def _config(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """K2.5's config with small numbers, in its nesting and with its field names."""
    tokens = {
        f"{role}_token_id": tokenizer.convert_tokens_to_ids(ROLES[role])
        for role in ("bos", "eos", "pad")
    }
    return {
        "architectures": ["KimiK25ForConditionalGeneration"],
        "model_type": "kimi_k25",
        "dtype": "bfloat16",
        "tie_word_embeddings": False,
        **tokens,
        "text_config": {**_text_config(), **tokens, "quantization_config": _quantisation()},
        "vision_config": {"hidden_size": 64, "num_hidden_layers": 1, "patch_size": 14},
    }


def _text_config() -> dict[str, Any]:
    sizes = {
        "vocab_size": VOCAB,
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "q_lora_rank": Q_LORA,
        "kv_lora_rank": KV_LORA,
        "qk_nope_head_dim": NOPE,
        "qk_rope_head_dim": ROPE,
        "v_head_dim": VALUE,
        "intermediate_size": DENSE,
        "moe_intermediate_size": EXPERT,
        "n_routed_experts": EXPERTS,
        "n_shared_experts": 1,
        "num_experts_per_tok": 2,
        "max_position_embeddings": 4096,
    }
    rope = {
        "type": "yarn",
        "factor": 64.0,
        "original_max_position_embeddings": 64,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
    }
    return {
        "architectures": ["DeepseekV3ForCausalLM"],
        "model_type": "kimi_k2",
        **sizes,
        "first_k_dense_replace": 1,
        "moe_layer_freq": 1,
        "scoring_func": "sigmoid",
        "topk_method": "noaux_tc",
        "n_group": 1,
        "topk_group": 1,
        "norm_topk_prob": True,
        "routed_scaling_factor": 2.827,
        "aux_loss_alpha": 0.001,
        "seq_aux": True,
        "hidden_act": "silu",
        "attention_bias": False,
        "initializer_range": 0.02,
        "rms_norm_eps": 1e-5,
        "rope_theta": 50000.0,
        "rope_scaling": rope,
        "num_nextn_predict_layers": 0,
        "tie_word_embeddings": False,
    }


def _quantisation() -> dict[str, Any]:
    weights = {
        "num_bits": 4,
        "type": "int",
        "symmetric": True,
        "strategy": "group",
        "group_size": int4.GROUP,
        "dynamic": False,
        "observer": "minmax",
    }
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "kv_cache_scheme": None,
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
        "ignore": [
            "lm_head",
            "re:.*self_attn.*",
            "re:.*shared_experts.*",
            r"re:.*mlp\.(gate|up|gate_up|down)_proj.*",
            "re:vision_tower.*",
            "re:mm_projector.*",
        ],
    }
