from __future__ import annotations

import pytest
import torch

from kos.weights import nvfp4
from kos.weights.rounding import draws, floats
from kos.weights.rounding.curvature import Diagonal
from tests.kos.weights.rounding.weights import (
    make_activations,
    make_inputs,
    make_target,
    output_error,
)


@pytest.fixture(scope="module")
def weight():
    return make_target().merged_RC


def scale_of(weight):
    return weight.abs().amax() / 2688


def error(stored, weight) -> float:
    return float((nvfp4.dequantise(*stored) - weight).norm() / weight.norm())


def test_the_nearest_value_is_modelopts_code():
    scaled = torch.cat([torch.linspace(-7, 7, 4001), torch.tensor(nvfp4.BOUNDS)])
    expected = torch.tensor(nvfp4.VALUES)[(nvfp4.encode(scaled) & 7).long()]
    assert torch.equal(floats.nearest_value(scaled).abs(), expected)


def test_our_scales_and_values_are_modelopts(weight):
    scale_2 = scale_of(weight)
    scale = floats.six(weight, scale_2)
    values = floats.nearest_value(floats.scaled(weight, scale, scale_2))
    ours, theirs = floats.stored(values, scale, scale_2), nvfp4.quantise(weight, scale_2)
    assert torch.equal(ours.scale.view(torch.uint8), theirs.scale.view(torch.uint8))
    # Values, for ModelOpt may write a zero as -0.
    assert torch.equal(nvfp4.dequantise(*ours), nvfp4.dequantise(*theirs))


def test_better_scales_err_less(weight):
    scale_2 = scale_of(weight)
    roomy = floats.roomy_scale(weight.abs().amax())
    found = []
    for choose, one in (
        (floats.six, scale_2),
        (floats.four_over_six, roomy),
        (floats.swept, scale_2),
    ):
        scale = choose(weight, one)
        values = floats.nearest_value(floats.scaled(weight, scale, one))
        found.append(error(floats.stored(values, scale, one), weight))
    # 0.104, 0.087, 0.078 on a matrix of 2048 x 7168.
    assert found[2] < found[1] < found[0]
    assert found[0] == pytest.approx(0.104, abs=0.004)


def test_stochastic_values_are_neighbours_and_right_on_average():
    scaled = torch.linspace(-6, 6, 101)
    total = torch.zeros(101)
    for seed in range(1000):
        total += floats.stochastic_value(scaled, draws.uniform(seed, "w", 0, 101))
    # A draw's deviation is at most half the widest gap, 1; the mean's 0.032.
    assert torch.allclose(total / 1000, scaled, atol=0.13)


def test_activation_aware_codes_halve_the_output_error(weight):
    inputs, scale_2 = make_inputs(), scale_of(weight)
    seen = make_activations(inputs)
    scale = floats.six(weight, scale_2)
    curvature = Diagonal.of_pairs(seen.diagonal_C, seen.values_K, seen.vectors_CK)
    aware = floats.activation_aware(weight, scale, scale_2, curvature)
    nearest = floats.nearest_value(floats.scaled(weight, scale, scale_2))
    errors = [
        output_error(values * floats.expanded(scale, scale_2) - weight, inputs)
        for values in (aware, nearest)
    ]
    assert errors[0] < errors[1] / 2
