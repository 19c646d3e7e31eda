from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from kos.config import Average, Lora
from kos.engine.local import LocalEngine
from kos.errors import UserError
from kos.events import LocalJob, Saved
from kos.rl.long2short.average import average
from tests.kos.engine import tiny


def make_adapter(policy, folder, *, seed: int, rank: int = 4, alpha: float = 8):
    engine = LocalEngine.open(policy, tiny.MACHINE, lora=Lora(rank=rank, alpha=alpha), seed=seed)
    torch.manual_seed(seed)
    for name, weight in engine.model.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(0, 0.1)
    engine.save_weights(folder)
    return folder


def tensors(folder) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def config_of(folder):
    return json.loads((folder / "adapter_config.json").read_text())


def updates(folder) -> dict[str, torch.Tensor]:
    config, found = config_of(folder), tensors(folder)
    scale = config["lora_alpha"] / config["r"]
    pairs = {name: name.replace("lora_A", "lora_B") for name in found if "lora_A" in name}
    return {a: scale * found[b].double() @ found[a].double() for a, b in pairs.items()}


def run(tmp_path, config, **inputs):
    folder = tmp_path / "run"
    folder.mkdir(exist_ok=True)
    job = LocalJob(folder, inputs)
    average(config, job)
    return job


@pytest.fixture
def two(policy, tmp_path):
    return {
        "adapter": make_adapter(policy, tmp_path / "long", seed=1),
        "second": make_adapter(policy, tmp_path / "short", seed=2),
    }


def test_the_mean_of_factors_is_exact(tmp_path, two):
    made = run(tmp_path, Average(of="factors"), **two).folder / "adapter"
    long, short = tensors(two["adapter"]), tensors(two["second"])
    for name, tensor in tensors(made).items():
        assert torch.equal(tensor, (long[name] + short[name]) / 2)
    assert config_of(made) == config_of(two["adapter"])


def test_the_mean_of_updates_is_the_average_of_the_models(tmp_path, two):
    made = run(tmp_path, Average(), **two).folder / "adapter"
    long, short = updates(two["adapter"]), updates(two["second"])
    for name, update in updates(made).items():
        torch.testing.assert_close(update, (long[name] + short[name]) / 2, atol=1e-7, rtol=1e-5)


def test_adapters_of_several_ranks_average_by_their_updates(tmp_path, two, policy):
    third = make_adapter(policy, tmp_path / "third", seed=3, rank=2, alpha=6)
    job = run(tmp_path, Average(shares=(2, 1, 1)), third=third, **two)
    shares = dict(zip((two["adapter"], two["second"], third), (0.5, 0.25, 0.25), strict=True))
    for name, update in updates(job.folder / "adapter").items():
        expected = sum(share * updates(folder)[name] for folder, share in shares.items())
        torch.testing.assert_close(update, expected, atol=1e-7, rtol=1e-5)
    [saved] = [event for event in job.events if isinstance(event, Saved)]
    assert saved.summary["rank"] == 10


def test_the_engine_opens_an_averaged_adapter(tmp_path, two, policy):
    made = run(tmp_path, Average(), **two).folder / "adapter"
    engine = LocalEngine.open(
        policy, tiny.MACHINE, lora=Lora(rank=8, alpha=8), seed=0, adapter=made
    )
    assert len(engine.compute_logprobs([[1, 2, 3]])[0]) == 2


def test_factors_of_different_ranks_are_refused(tmp_path, two, policy):
    other = {**two, "second": make_adapter(policy, tmp_path / "other", seed=2, rank=2)}
    with pytest.raises(UserError, match="average the updates instead"):
        run(tmp_path, Average(of="factors"), **other)


def test_adapters_that_change_other_weights_are_refused(tmp_path, two):
    found = tensors(two["second"])
    found.pop(next(iter(found)))
    save_file(found, two["second"] / "adapter_model.safetensors")
    with pytest.raises(UserError, match="change different weights"):
        run(tmp_path, Average(), **two)


def test_shares_must_be_one_an_adapter(tmp_path, two):
    with pytest.raises(UserError, match="2 adapters need 2 shares"):
        run(tmp_path, Average(shares=(1.0,)), **two)


def make_models(tmp_path, policy):
    """The policy, and a copy whose every weight is one greater."""
    other = tmp_path / "other"
    shutil.copytree(policy, other)
    file = other / "model.safetensors"
    save_file({name: value + 1 for name, value in load_file(file).items()}, file, {"format": "pt"})
    return {"adapter": policy, "second": other}


def test_whole_models_are_averaged_shard_by_shard(tmp_path, policy):
    job = run(tmp_path, Average(shares=(1, 3)), **make_models(tmp_path, policy))
    [saved] = [event for event in job.events if isinstance(event, Saved)]
    before = load_file(policy / "model.safetensors")
    after = load_file(job.folder / "merged" / "model.safetensors")
    assert saved.artifact == "merged"
    for name, value in after.items():
        torch.testing.assert_close(value, (before[name] + 0.75).to(torch.bfloat16))


def test_a_shard_that_stands_is_not_made_again(tmp_path, policy):
    models = make_models(tmp_path, policy)
    file = run(tmp_path, Average(), **models).folder / "merged" / "model.safetensors"
    made = file.stat().st_mtime_ns
    run(tmp_path, Average(), **models)
    assert file.stat().st_mtime_ns == made


def test_an_adapter_and_a_model_have_no_mean(tmp_path, two, policy):
    with pytest.raises(UserError, match="merge the adapters first"):
        run(tmp_path, Average(), adapter=two["adapter"], second=policy)
