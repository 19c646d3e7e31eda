"""Each family of models merged by Kos and by whole-model arithmetic of another hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from kos.errors import UserError
from kos.weights import names
from kos.weights.lora import Adapter
from kos.weights.shards import Index
from kos.weights.text import Checkpoint
from tests.kos.weights import families
from tests.kos.weights.models import apart, differing, make_peft, run_merge, same

pytestmark = pytest.mark.filterwarnings("ignore")
EXPERTS = {"model.layers.1.mlp.experts": (4, 32, 64)}
LINEARS = {
    "llama": {"model.layers.0.self_attn.q_proj": (64, 64), "model.unembed_tokens": (512, 64)},
    "deepseek_v3": {
        "model.layers.0.mlp.gate_proj": (96, 64),
        "model.layers.1.self_attn.kv_a_proj_with_mqa": (24, 64),
        "model.layers.1.mlp.shared_experts.up_proj": (32, 64),
    },
    "qwen3_next": {
        "model.layers.0.linear_attn.out_proj": (64, 64),
        "model.layers.0.linear_attn.in_proj_qkvz": (192, 64),
        "model.layers.1.mlp.shared_expert.down_proj": (64, 32),
    },
}


@pytest.fixture(scope="module", params=list(LINEARS))
def family(request, tmp_path_factory) -> tuple[str, Path, Path]:
    """Its name, a base, and a Tinker adapter on its linears and experts."""
    folder = tmp_path_factory.mktemp(request.param)
    base = families.make(request.param, folder / "base")
    experts = {} if request.param == "llama" else EXPERTS
    return request.param, base, families.tinker(folder / "a", LINEARS[request.param], experts)


def close(found: Index, wanted: dict[str, torch.Tensor]) -> bool:
    """The same names, and no value further apart than a BF16 step."""
    assert set(found) == set(wanted)
    return all(
        torch.allclose(found[name].read().float(), value.float(), rtol=2**-7, atol=1e-6)
        for name, value in wanted.items()
    )


def test_a_tinker_adapter_merges_as_the_whole_model_does(family, tmp_path):
    name, base, adapter = family
    job = run_merge(tmp_path, base=base, adapter=adapter)
    assert close(Index(job.folder / "merged"), families.merged_whole(base, adapter))
    num_experts = 0 if name == "llama" else 12
    assert job.events[-1].summary["num_changed"] == len(LINEARS[name]) + num_experts


def test_a_peft_adapter_merges_as_in_peft(family, tmp_path):
    name, base, _ = family
    targets = {"llama": ["q_proj", "down_proj"], "deepseek_v3": ["kv_b_proj", "q_a_proj"]}
    modules = targets.get(name, ["in_proj_qkvz", "in_proj_ba", "out_proj", "k_proj"])
    adapter = make_peft(base, tmp_path / "a", target_modules=modules)
    job = run_merge(tmp_path / "m", base=base, adapter=adapter)
    assert apart(job.folder / "merged", adapter / "merged") == []


def test_fused_experts_are_read_and_merged_one_by_one(family, tmp_path):
    name, base, adapter = family
    if name == "llama":
        pytest.skip("has no experts")
    fused = families.fuse(base, tmp_path / "fused")
    first = run_merge(tmp_path / "1", base=base, adapter=adapter)
    second = run_merge(tmp_path / "2", base=fused, adapter=adapter)
    assert differing(first.folder / "merged", second.folder / "merged") == []


def test_a_family_with_fused_files_keeps_them_fused(tmp_path):
    base = families.make("deepseek_v3", tmp_path / "b")
    adapter = families.tinker(tmp_path / "a", {}, EXPERTS)
    wanted = families.merged_whole(base, adapter)
    fused = families.fuse(base, tmp_path / "fused")
    config = json.loads((fused / "config.json").read_text()) | {"model_type": "qwen3_5_moe_text"}
    (fused / "config.json").write_text(json.dumps(config))
    found = Index(run_merge(tmp_path / "m", base=fused, adapter=adapter).folder / "merged")
    stem = "model.layers.1.mlp.experts"
    gate_up = torch.stack(
        [
            torch.cat([wanted[f"{stem}.{e}.{part}_proj.weight"] for part in ("gate", "up")])
            for e in range(4)
        ]
    )
    assert found[f"{stem}.gate_up_proj"].shape == (4, 64, 64)
    assert torch.allclose(
        found[f"{stem}.gate_up_proj"].read().float(), gate_up.float(), rtol=2**-7, atol=1e-6
    )


def test_parts_of_qwen3_nexts_projection_fall_where_its_own_code_finds_them(tmp_path):
    from transformers import AutoModelForCausalLM

    base = families.make("qwen3_next", tmp_path / "b")
    stem = "model.layers.0.linear_attn"
    parts = {
        f"{stem}.in_proj_{one}": (rows, 64) for one, rows in zip("qvz", (32, 64, 64), strict=True)
    }
    parts[f"{stem}.in_proj_a"] = (4, 64)
    adapter = families.tinker(tmp_path / "a", parts, {})
    job = run_merge(tmp_path / "m", base=base, adapter=adapter)
    x = torch.randn(1, 3, 64, generator=torch.Generator().manual_seed(0))

    def split(folder: Path) -> list[torch.Tensor]:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        layer = model.model.layers[0].linear_attn
        found = layer.fix_query_key_value_ordering(layer.in_proj_qkvz(x), layer.in_proj_ba(x))
        return [part.detach().flatten(2) for part in found]

    factors = load_file(adapter / "adapter_model.safetensors")
    before, after = split(base), split(job.folder / "merged")
    for place, one in enumerate(("q", "k", "v", "z", "b", "a")):
        key = f"base_model.model.{stem}.in_proj_{one}.lora_"
        gained = torch.zeros_like(before[place])
        if f"{key}A.weight" in factors:
            gained = x @ factors[f"{key}A.weight"].T @ factors[f"{key}B.weight"].T * 2
        assert torch.allclose(after[place] - before[place], gained, atol=0.02)


def test_kimi_k2_takes_a_tinker_adapter_on_its_packed_experts(k2, k2_text, tmp_path):
    experts = {f"model.layers.{layer}.mlp.experts": (8, 64, 128) for layer in (1, 2, 3)}
    linears = {"model.unembed_tokens": (512, 128), "model.layers.2.self_attn.q_a_proj": (64, 128)}
    adapter = families.tinker(tmp_path / "a", linears, experts)
    job = run_merge(tmp_path / "m", base=k2, adapter=adapter)
    assert job.events[-1].summary["num_changed"] == 2 + 3 * 3 * 8
    whole = {name: entry.read() for name, entry in Index(k2_text).items()}
    from safetensors.torch import save_file

    (tmp_path / "w").mkdir()
    save_file(whole, tmp_path / "w" / "model.safetensors")
    wanted = families.merged_whole(tmp_path / "w", adapter)
    found = Index(job.folder / "merged")
    # The oracle adds to weights already in BF16, so it may round twice.
    assert all(
        torch.allclose(found[n].read().float(), v.float(), rtol=2**-6, atol=2e-4)
        for n, v in wanted.items()
    )


def test_an_adapter_tells_who_wrote_it(tmp_path):
    assert Adapter(families.tinker(tmp_path / "a", {}, EXPERTS)).writer == "tinker"
    assert Adapter(families.tinker(tmp_path / "b", {"x.q_proj": (4, 4)}, {})).writer == "peft"


def test_experts_of_another_number_are_refused_by_name(tmp_path):
    base = families.make("deepseek_v3", tmp_path / "b")
    adapter = families.tinker(tmp_path / "a", {}, {"model.layers.1.mlp.experts": (3, 32, 64)})
    with pytest.raises(UserError, match=r"experts\.w1\.lora_A\.weight \[1, 4, 64\]"):
        run_merge(tmp_path / "m", base=base, adapter=adapter)


def test_the_names_transformers_saves_kimi_k25_by_are_those_it_loads():
    assert names.plain("language_model.model.blocks.3.x") == "model.layers.3.x"
    assert names.plain("model.blocks.3.x") == "model.blocks.3.x"


def test_decay_rates_stay_in_float32(tmp_path):
    from safetensors.torch import save_file

    tensors = {"model.layers.0.linear_attn.A_log": torch.tensor([0.1, 0.2])}
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"model_type": "qwen3_next"}')
    weight = Checkpoint(tmp_path)["model.layers.0.linear_attn.A_log"]
    assert weight.spec.dtype == torch.float32
    assert same(weight.read(), tensors["model.layers.0.linear_attn.A_log"])
