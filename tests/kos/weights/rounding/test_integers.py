from __future__ import annotations

import pytest
import torch

from kos.weights.rounding import draws, integers
from kos.weights.rounding.curvature import Diagonal, Full
from tests.kos.weights.rounding.weights import (
    make_activations,
    make_inputs,
    make_target,
    output_error,
)


@pytest.fixture(scope="module")
def target():
    return make_target()


@pytest.fixture(scope="module")
def inputs():
    return make_inputs()


def values(codes_RC, target):
    return codes_RC * integers.expanded(target.scale_RG)


def slope(codes_RC, target) -> float:
    kept = values(codes_RC, target) - target.base_RC
    return float((kept * target.delta_RC).sum() / (target.delta_RC**2).sum())


def test_nearest_codes_erase_the_change(target):
    codes = integers.nearest(target.codes_RC, target.scale_RG, target.delta_RC)
    assert torch.equal(codes, target.codes_RC)


def test_stochastic_codes_keep_the_change_on_average(target):
    # The deviation of the slope: noise per weight is about sqrt(|d| s), so the slope's is
    # sqrt(sum d^2 |d| s) / sum d^2; half of what is pushed out of range at a +7 is lost.
    d, s = target.delta_RC, integers.expanded(target.scale_RG)
    deviation = float((d**2 * d.abs() * s).sum().sqrt() / (d**2).sum())
    lost = float((d**2 * ((target.codes_RC == 7) & (d > 0))).sum() / (d**2).sum())
    u = draws.uniform_like(d, 0, target.name)
    found = slope(integers.stochastic(target.codes_RC, target.scale_RG, d, u), target)
    assert abs(found - (1 - lost)) < 3 * deviation


def test_about_one_code_in_a_hundred_moves_and_only_by_one(target):
    u = draws.uniform_like(target.delta_RC, 0, target.name)
    codes = integers.stochastic(target.codes_RC, target.scale_RG, target.delta_RC, u)
    moved = (codes - target.codes_RC).abs()
    assert 0.004 < float(moved.float().mean()) < 0.01
    assert int(moved.max()) == 1


def test_a_code_at_its_end_stays_in_four_bits():
    codes = torch.tensor([[7] * 16 + [-8] * 16], dtype=torch.int8)
    scale, delta = torch.ones(1, 1), torch.tensor([[3.0] * 16 + [-3.0] * 16])
    found = integers.stochastic(codes, scale, delta, torch.zeros(1, 32))
    assert torch.equal(found, codes)


def test_the_mean_over_many_draws_is_the_change():
    codes, scale = torch.zeros(1, 32, dtype=torch.int8), torch.ones(1, 1)
    delta = torch.linspace(-1.5, 1.5, 32)[None]
    total = sum(
        integers.stochastic(codes, scale, delta, draws.uniform_like(delta, seed, "w")).float()
        for seed in range(2000)
    )
    # One draw has a deviation of at most .5, the mean of 2000 of .011.
    assert torch.allclose(total / 2000, delta, atol=0.045)


@pytest.mark.parametrize("count", [32, 512])
def test_activation_aware_codes_disturb_the_outputs_least(target, inputs, count):
    seen = make_activations(inputs, count)
    curvature = (
        Diagonal.of_pairs(seen.diagonal_C, seen.values_K, seen.vectors_CK)
        if count < 512
        else Full(inputs.moment_CC)
    )
    aware = integers.activation_aware(target.merged_RC, target.scale_RG, curvature)
    u = draws.uniform_like(target.delta_RC, 0, target.name)
    drawn = integers.stochastic(target.codes_RC, target.scale_RG, target.delta_RC, u)
    errors = [
        output_error(values(codes, target) - target.merged_RC, inputs)
        for codes in (aware, drawn, target.codes_RC)
    ]
    assert errors[0] < errors[1] / 10
    assert errors[0] < errors[2]


def test_a_group_of_zeros_gets_a_step_that_fits_the_change():
    codes, scale = torch.zeros(1, 64, dtype=torch.int8), torch.ones(1, 2, dtype=torch.bfloat16)
    codes[0, 40] = 7
    delta = torch.full((1, 64), 4e-5)
    found = integers.with_free_groups(codes, scale, delta)
    assert float(found[0, 0]) == pytest.approx(4e-5 / 7, rel=2**-8)
    assert float(found[0, 1]) == 1


def test_a_group_of_zeros_without_a_change_keeps_its_scale():
    codes, scale = torch.zeros(1, 32, dtype=torch.int8), torch.ones(1, 1, dtype=torch.bfloat16)
    assert torch.equal(integers.with_free_groups(codes, scale, torch.zeros(1, 32)), scale)
