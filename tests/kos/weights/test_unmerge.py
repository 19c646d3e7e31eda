"""An adapter folded in and out again, and the ways in which two adapters are the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from kos.weights import kernels
from kos.weights.lora import Adapter
from kos.weights.shards import write_json
from kos.weights.source import Source
from kos.weights.text import Checkpoint

pytestmark = pytest.mark.filterwarnings("ignore")
QUICK = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
MODULE = "model.layers.0.mlp.up_proj"
NAME = f"{MODULE}.weight"
SEEDS = st.integers(0, 10_000)


def whole_numbers(rows: int, columns: int, seed: int, most: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-most, most + 1, (rows, columns), generator=generator).float()


def normal(rows: int, columns: int, seed: int, size: float = 1.0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * size


def write_base(folder: Path, weight: torch.Tensor) -> Path:
    folder.mkdir(exist_ok=True)
    save_file({NAME: weight.contiguous()}, folder / "model.safetensors")
    write_json(folder / "config.json", {"model_type": "llama"})
    return folder


def write_adapter(folder: Path, a: torch.Tensor, b: torch.Tensor, alpha: float) -> Adapter:
    folder.mkdir(exist_ok=True)
    key = f"base_model.model.{MODULE}"
    factors = {f"{key}.lora_A.weight": a, f"{key}.lora_B.weight": b}
    save_file(
        {name: one.contiguous() for name, one in factors.items()},
        folder / "adapter_model.safetensors",
    )
    write_json(folder / "adapter_config.json", {"lora_alpha": alpha})
    return Adapter(folder)


def summed(base: Path, adapter: Adapter) -> torch.Tensor:
    """W + D in float32, as an export reads it."""
    model = Checkpoint(base)
    return Source(model, adapter.plan({NAME: model[NAME].shape})).read(NAME)


@given(seed=SEEDS, alpha=st.sampled_from((0.25, 1.0, 2.0, 16.0)))
@QUICK
def test_in_float32_what_can_be_summed_exactly_comes_back_bit_for_bit(tmp_path, seed, alpha):
    weight = whole_numbers(6, 8, seed, 256) / 128
    a, b = whole_numbers(2, 8, seed + 1, 8), whole_numbers(6, 2, seed + 2, 8) / 16
    merged = summed(write_base(tmp_path / "m", weight), write_adapter(tmp_path / "a", a, b, alpha))
    back = summed(write_base(tmp_path / "n", merged), write_adapter(tmp_path / "b", a, -b, alpha))
    assert torch.equal(merged, weight + b @ a * (alpha / 2))
    assert torch.equal(back, weight)


@given(seed=SEEDS, size=st.sampled_from((1e-6, 1e-3, 1.0, 50.0)))
@QUICK
def test_in_float32_it_comes_back_within_the_rounding_of_the_sum(tmp_path, seed, size):
    weight, a, b = normal(6, 8, seed), normal(2, 8, seed + 1), normal(6, 2, seed + 2, size)
    merged = summed(write_base(tmp_path / "m", weight), write_adapter(tmp_path / "a", a, b, 4.0))
    back = summed(write_base(tmp_path / "n", merged), write_adapter(tmp_path / "b", a, -b, 4.0))
    assert ((back - weight).abs() <= (merged.abs() + weight.abs()) * 2.0**-23).all()


@given(seed=SEEDS, size=st.sampled_from((1e-4, 1e-2, 1.0)))
@QUICK
def test_in_bfloat16_it_comes_back_within_two_roundings(seed, size):
    weight = normal(6, 33, seed).to(torch.bfloat16)
    delta = normal(6, 33, seed + 1, size)
    merged, _ = kernels.fold_plain(weight, delta)
    back, _ = kernels.fold_plain(merged, -delta)
    # Half a step of BF16 is 2^-9 of the power of two below: at most 2^-8 of the value.
    bound = ((weight.float() + delta).abs() + weight.float().abs() * 1.01) * 2.0**-8
    assert ((back.float() - weight.float()).abs() <= bound).all()


@given(seed=SEEDS)
@QUICK
def test_an_adapter_of_zeros_changes_no_bit(tmp_path, seed):
    weight, a = normal(6, 8, seed), normal(2, 8, seed + 1)
    zeros = write_adapter(tmp_path / "a", a, torch.zeros(6, 2), 4.0)
    assert torch.equal(summed(write_base(tmp_path / "m", weight), zeros), weight)


@given(seed=SEEDS, power=st.integers(-6, 6))
@QUICK
def test_alpha_and_a_factor_may_share_a_power_of_two_as_they_like(tmp_path, seed, power):
    base = write_base(tmp_path / "m", normal(6, 8, seed))
    a, b = normal(2, 8, seed + 1), normal(6, 2, seed + 2)
    one = summed(base, write_adapter(tmp_path / "a", a, b, 4.0))
    other = summed(base, write_adapter(tmp_path / "b", a, b * 2.0**power, 4.0 / 2.0**power))
    assert torch.equal(one, other)
