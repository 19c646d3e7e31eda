from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kos.errors import UserError
from kos.weights.lora import Adapter

SHAPES = {
    "model.layers.0.self_attn.q_proj.weight": (8, 6),
    "model.embed_tokens.weight": (10, 6),
    **{f"model.experts.{e}.gate_proj.weight": (8, 6) for e in range(3)},
    **{f"model.experts.{e}.up_proj.weight": (8, 6) for e in range(3)},
    **{f"model.experts.{e}.down_proj.weight": (6, 8) for e in range(3)},
}
Q_PROJ = "base_model.model.model.layers.0.self_attn.q_proj"


def adapter(folder: Path, module: str = Q_PROJ, *, rows: int = 8, columns: int = 6, **config):
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, columns, generator=generator), torch.randn(rows, 2, generator=generator)
    factors = {f"{module}.lora_A.weight": a, f"{module}.lora_B.weight": b}
    return write(folder, factors, **config)


def write(folder: Path, tensors: dict[str, torch.Tensor], **config) -> Adapter:
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 8, **config}))
    return Adapter(folder)


def test_the_update_is_scaled_by_alpha_over_rank(tmp_path):
    plan = adapter(tmp_path).plan(SHAPES)
    assert {name: update.scale for name, update in plan.items()} == {
        "model.layers.0.self_attn.q_proj.weight": 4.0
    }


def test_rank_stabilised_lora_divides_by_the_root(tmp_path):
    (update,) = adapter(tmp_path, use_rslora=True).plan(SHAPES).values()
    assert update.scale == pytest.approx(8 / 2**0.5)


def test_alpha_may_be_set_by_module(tmp_path):
    (update,) = adapter(tmp_path, alpha_pattern={"q_proj": 2}).plan(SHAPES).values()
    assert update.scale == 1.0


def test_rows_of_the_update_are_rows_of_the_whole(tmp_path):
    (update,) = adapter(tmp_path).plan(SHAPES).values()
    assert torch.allclose(update.delta(2, 5), update.delta(0, 8)[2:5])


def test_a_tensor_without_a_target_is_named(tmp_path):
    stranger = adapter(tmp_path, "base_model.model.model.layers.9.self_attn.q_proj")
    with pytest.raises(UserError, match=r"2 of the adapter's 2 .*layers\.9\.self_attn"):
        stranger.plan(SHAPES)


def test_another_shape_is_no_target(tmp_path):
    with pytest.raises(UserError, match="fit no weight"):
        adapter(tmp_path, rows=16).plan(SHAPES)


def test_a_factor_without_its_mate_is_refused(tmp_path):
    alone = write(tmp_path, {f"{Q_PROJ}.lora_A.weight": torch.zeros(2, 6)})
    with pytest.raises(UserError, match="only lora_A"):
        alone.plan(SHAPES)


def test_weights_trained_in_full_are_refused(tmp_path):
    trained = write(tmp_path, {"base_model.model.score.weight": torch.zeros(2, 6)})
    with pytest.raises(UserError, match="no LoRA factor"):
        trained.plan(SHAPES)


def test_dora_is_refused(tmp_path):
    with pytest.raises(UserError, match="use_dora=True"):
        adapter(tmp_path, use_dora=True)


def test_tied_embeddings_are_not_changed_behind_the_users_back(tmp_path):
    embedding = adapter(tmp_path, "base_model.model.model.embed_tokens", rows=10)
    with pytest.raises(UserError, match="one with lm_head"):
        embedding.plan(SHAPES, is_tied=True)


def test_fused_experts_fall_on_every_expert(tmp_path):
    module = "base_model.model.model.experts"
    factors = {
        f"{module}.lora_A.weight": torch.randn(6, 6),
        f"{module}.lora_B.weight": torch.randn(16, 6),
    }
    plan = write(tmp_path, factors).plan(SHAPES)
    a_ErC, b_RrE = factors[f"{module}.lora_A.weight"], factors[f"{module}.lora_B.weight"]
    whole = b_RrE.view(16, 2, 3)[:, :, 1] @ a_ErC.view(3, 2, 6)[1] * 4
    assert len(plan) == 6
    assert torch.allclose(plan["model.experts.1.up_proj.weight"].delta(0, 8), whole[8:])
