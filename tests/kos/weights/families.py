"""Tiny models of each family on disk, and adapters as Tinker writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

RANK, ALPHA = 4, 8
MOE = {
    "vocab_size": 512, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "moe_intermediate_size": 32, "intermediate_size": 96, "max_position_embeddings": 256,
    "tie_word_embeddings": False,
}  # fmt: skip


def make(family: str, folder: Path) -> Path:
    """Write a random model of ``family`` as transformers saves it, in BF16."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **SIZES[family])
    model = AutoModelForCausalLM.from_config(config)
    # Not ``.to(bfloat16)``, which would round the router's bias as well.
    for value in model.parameters():
        value.data = value.data.to(torch.bfloat16)
    model.save_pretrained(folder)
    return folder


SIZES: dict[str, dict[str, Any]] = {
    "llama": MOE | {"num_key_value_heads": 1},
    "deepseek_v3": MOE
    | {
        "num_key_value_heads": 2, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_nope_head_dim": 16,
        "qk_rope_head_dim": 8, "v_head_dim": 16, "n_routed_experts": 4, "num_experts_per_tok": 2,
        "n_shared_experts": 1, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1,
    },
    "qwen3_next": MOE
    | {
        "num_key_value_heads": 1, "head_dim": 32, "num_experts": 4, "num_experts_per_tok": 2,
        "shared_expert_intermediate_size": 32, "linear_num_key_heads": 2,
        "linear_num_value_heads": 4, "linear_key_head_dim": 16, "linear_value_head_dim": 16,
        "layer_types": ["linear_attention", "full_attention"],
    },
}  # fmt: skip


def fuse(folder: Path, target: Path) -> Path:
    """The same model with the experts of a layer in two tensors, as transformers holds them."""
    tensors = load_file(folder / "model.safetensors")
    stems = {name.split(".experts.")[0] + ".experts" for name in tensors if ".experts." in name}
    for stem in sorted(stems):
        count = len({n for n in tensors if n.startswith(stem) and n.endswith("up_proj.weight")})
        parts = {
            part: torch.stack([tensors.pop(f"{stem}.{e}.{part}.weight") for e in range(count)])
            for part in ("gate_proj", "up_proj", "down_proj")
        }
        tensors[f"{stem}.gate_up_proj"] = torch.cat((parts["gate_proj"], parts["up_proj"]), 1)
        tensors[f"{stem}.down_proj"] = parts["down_proj"]
    target.mkdir()
    save_file(tensors, target / "model.safetensors")
    (target / "config.json").write_text((folder / "config.json").read_text())
    return target


def tinker(folder: Path, modules: dict[str, tuple[int, int]], experts: dict[str, Any]) -> Path:
    """An adapter on linear ``modules`` (rows, columns) and on ``experts``: layer's module name to
    (experts, inner, hidden). Random factors large enough to see in BF16."""
    draw = torch.Generator().manual_seed(1)
    tensors: dict[str, Tensor] = {}

    def add(module: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
        for side, shape in (("A", a), ("B", b)):
            name = f"base_model.model.{module}.lora_{side}.weight"
            tensors[name] = torch.randn(shape, generator=draw) * 0.1

    for module, (rows, columns) in modules.items():
        add(module, (RANK, columns), (rows, RANK))
    for module, (total, inner, hidden) in experts.items():
        for name in ("w1", "w3"):
            add(f"{module}.{name}", (1, RANK, hidden), (total, inner, RANK))
        add(f"{module}.w2", (total, RANK, inner), (1, hidden, RANK))
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": RANK, "lora_alpha": ALPHA}))
    return folder


def merged_whole(base: Path, adapter: Path) -> dict[str, Tensor]:
    """The merge of a per-expert model by einsum over all experts at once, in memory."""
    tensors = load_file(base / "model.safetensors")
    factors = load_file(adapter / "adapter_model.safetensors")
    for name, a in factors.items():
        if ".lora_A." not in name:
            continue
        b, module = factors[name.replace("_A.", "_B.")], name.split(".lora_A")[0]
        module = module.removeprefix("base_model.model.").replace(
            "model.unembed_tokens", "lm_head"
        )
        delta = torch.einsum("...or,...ri->...oi", b.double(), a.double()) * ALPHA / RANK
        if delta.dim() == 2:
            _add(tensors, f"{module}.weight", delta)
            continue
        stem, _, part = module.rpartition(".")
        long = {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}[part]
        for expert, one in enumerate(delta):
            _add(tensors, f"{stem}.{expert}.{long}.weight", one)
    return tensors


def _add(tensors: dict[str, Tensor], name: str, delta: Tensor) -> None:
    tensors[name] = (tensors[name].double() + delta).to(torch.bfloat16)
